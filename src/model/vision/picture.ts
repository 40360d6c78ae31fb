/** A decoded picture: eight bits a channel, `[height][width][3]`, red, green, blue. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}
