/** Pieces of a GGUF file, for tests that need one that no writer would write. */
export type Piece = Uint8Array;

export function u32(value: number): Piece {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Piece {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function text(value: string | Uint8Array): Piece {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** A metadata pair; `type` is the number in the file, `value` its bytes. */
export function pair(key: string | Uint8Array, type: number, ...value: Piece[]): Piece {
  return Buffer.concat([text(key), u32(type), ...value]);
}

/** A tensor entry; type 0 is F32. */
export function tensor(
  name: string | Uint8Array,
  dimensions: readonly (number | bigint)[],
  offset: number | bigint,
  type = 0,
): Piece {
  return Buffer.concat([text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]);
}

export interface RawGguf {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly pairCount?: number | bigint;
  readonly pairs?: readonly Piece[];
  readonly tensors?: readonly Piece[];
  readonly alignment?: number;
  readonly dataBytes?: number;
}

/** The file, with counts that fit the pieces unless others are given. */
export function rawGguf(raw: RawGguf): Buffer {
  const { pairs = [], tensors = [], alignment = 32 } = raw;
  const header = Buffer.concat([
    Buffer.from(raw.magic ?? 'GGUF'),
    u32(raw.version ?? 3),
    u64(raw.tensorCount ?? tensors.length),
    u64(raw.pairCount ?? pairs.length),
    ...pairs,
    ...tensors,
  ]);
  const padding = (alignment - (header.length % alignment)) % alignment;
  return Buffer.concat([header, Buffer.alloc(padding + (raw.dataBytes ?? 0), 7)]);
}
