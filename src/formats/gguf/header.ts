import { CriaError, type ErrorKind } from '../../base/errors.js';
import { decodeUtf8, hasControlCharacter, quote } from '../../base/text.js';
import { ggmlTypeById } from '../ggml-types.js';
import type { MetadataArray, MetadataValue, TensorInfo } from '../tensor-source.js';
import {
  ALIGNMENT_KEY,
  align,
  DEFAULT_ALIGNMENT,
  GGUF_MAGIC,
  MAX_DIMENSIONS,
  MIN_VALUE_BYTES,
  VALUE_TYPES,
} from './constants.js';

/**
 * Limits on what a header may ask for. Every count is also held against the bytes that are left in the file, so
 * these only bound what a large hostile file can cost.
 */
export const GGUF_LIMITS = {
  /** Maverick has about 800 tensors; per-expert layouts of the largest models stay below 100,000. */
  tensors: 1_000_000,
  /** Files in the wild have 20 to 60 keys. */
  keys: 65_536,
  /** Keys and tensor names; ggml itself stops at 63 bytes for tensors. */
  nameBytes: 1024,
  /** Chat templates are some 10 kB; whole tokenizer files stored as a string some 30 MB. */
  stringBytes: 64 * 2 ** 20,
  /** Elements of all arrays together. Llama 4 has 1 million (tokens, types, merges). Each costs up to 100 bytes. */
  elements: 8 * 2 ** 20,
  /** Arrays inside arrays: none are known in the wild. */
  depth: 4,
  /** Larger than any page; a bound keeps padding small. */
  alignment: 2 ** 20,
  /** Header bytes read before giving up; Llama 4 needs 11 MB. */
  headerBytes: 256 * 2 ** 20,
} as const;

/** A tensor as the header describes it, `offset` counting from the start of the tensor data. */
export interface HeaderTensor extends TensorInfo {
  readonly offset: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: Map<string, MetadataValue>;
  readonly tensors: HeaderTensor[];
  /** Where the tensor data starts: the end of the header, aligned. */
  readonly dataOffset: number;
}

/** The header goes on behind the bytes at hand. */
export class NeedMoreBytes extends Error {}

/**
 * Reads a header from the first bytes of a file of `fileBytes`. Throws NeedMoreBytes when `bytes` ends inside the
 * header although the file does not; otherwise CriaError with a `gguf-…` code. Whether the tensors fit into the
 * file is for `checkPlaces` to see.
 */
export function parseHeader(bytes: Buffer, fileBytes: number, path: string): GgufHeader {
  const cursor = new HeaderCursor(bytes, fileBytes, path);
  const version = readVersion(cursor);
  const tensorCount = cursor.count('tensors', GGUF_LIMITS.tensors, MIN_TENSOR_BYTES);
  const keyCount = cursor.count('metadata keys', GGUF_LIMITS.keys, MIN_PAIR_BYTES);

  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.name('metadata key');
    if (metadata.has(key)) throw cursor.bad('gguf-duplicate-key', `metadata key ${quote(key)} appears twice`);
    metadata.set(key, cursor.value(cursor.valueType(), key));
  }
  const alignment = readAlignment(cursor, metadata.get(ALIGNMENT_KEY));

  const tensors: HeaderTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensor(cursor, alignment);
    if (names.has(tensor.name)) {
      throw cursor.bad('gguf-duplicate-tensor', `tensor ${quote(tensor.name)} appears twice`);
    }
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return { version, alignment, metadata, tensors, dataOffset: align(cursor.offset, alignment) };
}

/** A name of one byte, a dimension count, one dimension, type and offset. */
const MIN_TENSOR_BYTES = 9 + 4 + 8 + 4 + 8;
/** A key of one byte, a type and a value of one byte. */
const MIN_PAIR_BYTES = 9 + 4 + 1;

function readVersion(cursor: HeaderCursor): number {
  const magic = cursor.uint32();
  if (magic !== GGUF_MAGIC) {
    throw cursor.bad('gguf-bad-magic', `expected a GGUF file, which starts with 'GGUF', found ${hex(magic)}`);
  }
  const version = cursor.uint32();
  if (version === 2 || version === 3) return version;
  if (version !== 0 && (version & 0xffff) === 0) {
    throw cursor.bad(
      'gguf-big-endian',
      'expected a little-endian file, found a big-endian one',
      'unsupported',
    );
  }
  throw cursor.bad('gguf-bad-version', `expected GGUF version 2 or 3, found ${version}`, 'unsupported');
}

function readAlignment(cursor: HeaderCursor, entry: MetadataValue | undefined): number {
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = entry;
  if (type === 'uint32' && value > 0 && value <= GGUF_LIMITS.alignment && (value & (value - 1)) === 0)
    return value;
  const found = type === 'uint32' ? value : `a value of type ${type}`;
  throw cursor.bad(
    'gguf-bad-alignment',
    `${ALIGNMENT_KEY}: expected a uint32 power of two up to ${GGUF_LIMITS.alignment}, found ${found}`,
  );
}

function readTensor(cursor: HeaderCursor, alignment: number): HeaderTensor {
  const name = cursor.name('tensor name');
  const at = `tensor ${quote(name)}`;
  const dimensions = cursor.uint32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw cursor.bad(
      'gguf-bad-shape',
      `${at}: expected 1 to ${MAX_DIMENSIONS} dimensions, found ${dimensions}`,
    );
  }
  const shape: number[] = [];
  let elements = 1;
  for (let i = 0; i < dimensions; i++) {
    const dimension = cursor.uint64();
    if (dimension === 0n) throw cursor.bad('gguf-bad-shape', `${at}: dimension ${i} is zero`);
    shape.push(Number(dimension));
    elements *= Number(dimension);
    // Also exact: beyond 2^53 the product may be rounded, but never back into the safe range.
    if (!Number.isSafeInteger(elements)) {
      throw cursor.bad('gguf-tensor-too-large', `${at}: its dimensions multiply to more than 2^53 weights`);
    }
  }
  const typeId = cursor.uint32();
  const type = ggmlTypeById(typeId);
  if (type === undefined) {
    throw cursor.bad('gguf-unknown-type', `${at}: no tensor type has the number ${typeId}`, 'unsupported');
  }
  if (shape[0]! % type.blockSize !== 0) {
    throw cursor.bad(
      'gguf-row-not-whole-blocks',
      `${at}: a row of ${shape[0]} weights is not a whole number of ${type.name} blocks of ${type.blockSize}`,
    );
  }
  const bytes = (elements / type.blockSize) * type.typeSize;
  const offset = Number(cursor.uint64());
  if (offset % alignment !== 0) {
    throw cursor.bad('gguf-misaligned', `${at}: offset ${offset} is not a multiple of ${alignment}`);
  }
  return { name, type: type.name, shape, bytes, offset };
}

/** Throws `gguf-tensor-outside` and `gguf-overlap` when tensors do not lie apart within the file. */
export function checkPlaces(header: GgufHeader, fileBytes: number, path: string): void {
  let end = 0;
  let previous = '';
  for (const { name, offset, bytes } of header.tensors.toSorted((a, b) => a.offset - b.offset)) {
    if (offset < end) {
      throw bad(path, 'gguf-overlap', `tensors ${quote(previous)} and ${quote(name)} overlap`);
    }
    end = offset + bytes;
    previous = name;
    if (header.dataOffset + end > fileBytes) {
      const last = header.dataOffset + end;
      throw bad(
        path,
        'gguf-tensor-outside',
        `tensor ${quote(name)} ends at byte ${last} but the file at ${fileBytes}; it may be an incomplete download`,
      );
    }
  }
}

export function bad(path: string, code: string, message: string, kind: ErrorKind = 'bad-file'): CriaError {
  return new CriaError(kind, code, `'${path}': ${message}`);
}

function hex(magic: number): string {
  const bytes = [0, 8, 16, 24].map((shift) => ((magic >>> shift) & 0xff).toString(16).padStart(2, '0'));
  return `bytes ${bytes.join(' ')}`;
}

/** Reads the primitive values of a header one after the other. All integers are little-endian. */
class HeaderCursor {
  offset = 0;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #fileBytes: number;
  readonly #path: string;
  #elements = 0;

  constructor(bytes: Buffer, fileBytes: number, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
    this.#path = path;
  }

  bad(code: string, message: string, kind?: ErrorKind): CriaError {
    return bad(this.#path, code, message, kind);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** A u64 as a double, rounded from 2^53 on: for lengths, where a bigint each would cost more than the rest. */
  #length(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** A u64 count of things that take at least `minBytes` each. */
  count(what: string, limit: number, minBytes: number): number {
    const count = this.#length();
    if (count > limit) {
      throw this.bad('gguf-too-many', `expected at most ${limit} ${what}, found ${count}`);
    }
    this.#expect(count * minBytes);
    return count;
  }

  name(what: string): string {
    const name = this.#string(GGUF_LIMITS.nameBytes, what);
    if (name === '' || hasControlCharacter(name)) {
      throw this.bad('gguf-bad-name', `expected a ${what} of printable text, found ${quote(name)}`);
    }
    return name;
  }

  valueType(): MetadataValue['type'] {
    const id = this.uint32();
    const type = VALUE_TYPES[id];
    if (type === undefined) {
      throw this.bad(
        'gguf-bad-value-type',
        `no metadata type has the number ${id} (at byte ${this.offset - 4})`,
      );
    }
    return type;
  }

  value(type: MetadataValue['type'], key: string): MetadataValue {
    if (type === 'array') return this.#array(key, 1);
    return { type, value: this.#scalar(type, key) } as MetadataValue;
  }

  #array(key: string, depth: number): MetadataArray {
    if (depth > GGUF_LIMITS.depth) {
      throw this.bad('gguf-too-deep', `${quote(key)}: arrays are nested more than ${GGUF_LIMITS.depth} deep`);
    }
    const items = this.valueType();
    const left = GGUF_LIMITS.elements - this.#elements;
    const length = this.count(`array elements for ${quote(key)}`, left, MIN_VALUE_BYTES[items]);
    this.#elements += length;
    const value: (number | bigint | boolean | string | MetadataArray)[] = [];
    for (let i = 0; i < length; i++) {
      value.push(items === 'array' ? this.#array(key, depth + 1) : this.#scalar(items, key));
    }
    return { type: 'array', items, value };
  }

  #scalar(type: Exclude<MetadataValue['type'], 'array'>, key: string): number | bigint | boolean | string {
    const view = this.#view;
    switch (type) {
      case 'uint8':
        return view.getUint8(this.#take(1));
      case 'int8':
        return view.getInt8(this.#take(1));
      case 'uint16':
        return view.getUint16(this.#take(2), true);
      case 'int16':
        return view.getInt16(this.#take(2), true);
      case 'uint32':
        return view.getUint32(this.#take(4), true);
      case 'int32':
        return view.getInt32(this.#take(4), true);
      case 'float32':
        return view.getFloat32(this.#take(4), true);
      case 'float64':
        return view.getFloat64(this.#take(8), true);
      case 'uint64':
        return view.getBigUint64(this.#take(8), true);
      case 'int64':
        return view.getBigInt64(this.#take(8), true);
      case 'bool': {
        const byte = view.getUint8(this.#take(1));
        if (byte > 1)
          throw this.bad('gguf-bad-bool', `${quote(key)}: expected 0 or 1 for a bool, found ${byte}`);
        return byte === 1;
      }
      case 'string':
        return this.#string(GGUF_LIMITS.stringBytes, `string in ${quote(key)}`);
    }
  }

  #string(limit: number, what: string): string {
    const length = this.#length();
    if (length > limit) {
      throw this.bad('gguf-string-too-long', `${what}: expected at most ${limit} bytes, found ${length}`);
    }
    const start = this.#take(length);
    const text = decodeUtf8(this.#bytes, start, this.offset);
    if (text === undefined) throw this.bad('gguf-bad-utf8', `${what} at byte ${start} is not valid UTF-8`);
    return text;
  }

  /** Moves over `length` bytes and returns where they start. */
  #take(length: number): number {
    const start = this.offset;
    this.#expect(length);
    this.offset = start + length;
    if (this.offset > this.#bytes.length) throw new NeedMoreBytes();
    return start;
  }

  #expect(length: number): void {
    if (this.offset + length > this.#fileBytes) {
      throw this.bad(
        'gguf-truncated',
        `the header needs ${length} bytes at offset ${this.offset}, but the file ends at ${this.#fileBytes}`,
      );
    }
  }
}
