/** Where the examples of one kind (training, validation) are, and how long: 16 bytes each. */
export class ExampleSet {
  readonly blobs: number[] = [];
  readonly #tokens: number[] = [];
  /** Number of the row of each, counted through all files. */
  readonly rows: number[] = [];
  readonly #trained: number[] = [];

  add(blob: number, row: number, tokens: number, trained: number): void {
    this.blobs.push(blob);
    this.rows.push(row);
    this.#tokens.push(tokens);
    this.#trained.push(trained);
  }

  get length(): number {
    return this.blobs.length;
  }

  tokens(example: number): number {
    return this.#tokens[example]!;
  }

  trained(example: number): number {
    return this.#trained[example]!;
  }
}
