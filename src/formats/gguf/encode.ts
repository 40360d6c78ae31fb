import { CriaError } from '../../base/errors.js';
import { hasControlCharacter, hasLoneSurrogate, quote } from '../../base/text.js';
import { ggmlType } from '../ggml-types.js';
import type { Metadata, MetadataArray, MetadataValue, TensorInfo } from '../tensor-source.js';
import { GGUF_MAGIC, GGUF_VERSION, MIN_VALUE_BYTES, VALUE_TYPES } from './constants.js';

/**
 * The header of a GGUF file up to the padding before its tensor data: keys and tensors in the order given, byte for
 * byte as gguf-py writes them. `offsets[i]` is where tensor `i` starts, from the start of the tensor data.
 * Throws `gguf-bad-value` (internal) for a value that its type cannot hold and for names that are no printable text.
 */
export function encodeHeader(
  metadata: Metadata,
  tensors: readonly TensorInfo[],
  offsets: readonly number[],
): Uint8Array {
  const out = new ByteWriter();
  out.uint32(GGUF_MAGIC);
  out.uint32(GGUF_VERSION);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.string(printable(key));
    out.uint32(VALUE_TYPES.indexOf(value.type));
    if (value.type === 'array') encodeArray(out, key, value);
    else encodeScalar(out, key, value.type, value.value);
  }
  tensors.forEach(({ name, type, shape }, i) => {
    out.string(printable(name));
    out.uint32(shape.length);
    for (const dimension of shape) out.uint64(dimension);
    out.uint32(ggmlType(type).id);
    out.uint64(offsets[i]!);
  });
  return out.bytes();
}

function encodeArray(out: ByteWriter, key: string, { items, value }: MetadataArray): void {
  out.uint32(VALUE_TYPES.indexOf(items));
  out.uint64(value.length);
  for (const item of value) {
    if (items !== 'array') encodeScalar(out, key, items, item);
    else encodeArray(out, key, item as MetadataArray);
  }
}

const INTEGER_RANGES: Readonly<Record<string, readonly [min: number | bigint, max: number | bigint]>> = {
  uint8: [0, 0xff],
  int8: [-0x80, 0x7f],
  uint16: [0, 0xffff],
  int16: [-0x8000, 0x7fff],
  uint32: [0, 0xffffffff],
  int32: [-0x80000000, 0x7fffffff],
  uint64: [0n, 2n ** 64n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
};

function encodeScalar(
  out: ByteWriter,
  key: string,
  type: Exclude<MetadataValue['type'], 'array'>,
  value: unknown,
): void {
  const range = INTEGER_RANGES[type];
  const fits =
    range !== undefined
      ? typeof value === typeof range[0] &&
        (typeof value === 'bigint' || Number.isInteger(value)) &&
        (value as number | bigint) >= range[0] &&
        (value as number | bigint) <= range[1]
      : type === 'bool'
        ? typeof value === 'boolean'
        : type === 'string'
          ? typeof value === 'string' && !hasLoneSurrogate(value)
          : typeof value === 'number';
  if (!fits) throw badValue(`${quote(key)}: ${quote(String(value))} is not a value of type ${type}`);
  if (type === 'string') out.string(value as string);
  else out.scalar(type, value as number | bigint | boolean);
}

function printable(name: string): string {
  if (name !== '' && !hasControlCharacter(name) && !hasLoneSurrogate(name)) return name;
  throw badValue(`${quote(name)} cannot be a name: expected printable text`);
}

function badValue(message: string): CriaError {
  return new CriaError('internal', 'gguf-bad-value', message);
}

/** Little-endian values one after the other in a buffer that doubles. */
class ByteWriter {
  #buffer = Buffer.alloc(64 * 2 ** 10);
  #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  #length = 0;

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  string(text: string): void {
    const length = Buffer.byteLength(text);
    this.uint64(length);
    const at = this.#reserve(length);
    this.#buffer.write(text, at);
  }

  scalar(type: Exclude<MetadataValue['type'], 'array' | 'string'>, value: number | bigint | boolean): void {
    const at = this.#reserve(MIN_VALUE_BYTES[type]);
    const view = this.#view;
    switch (type) {
      case 'bool':
        view.setUint8(at, value ? 1 : 0);
        break;
      case 'uint8':
        view.setUint8(at, value as number);
        break;
      case 'int8':
        view.setInt8(at, value as number);
        break;
      case 'uint16':
        view.setUint16(at, value as number, true);
        break;
      case 'int16':
        view.setInt16(at, value as number, true);
        break;
      case 'uint32':
        view.setUint32(at, value as number, true);
        break;
      case 'int32':
        view.setInt32(at, value as number, true);
        break;
      case 'float32':
        view.setFloat32(at, value as number, true);
        break;
      case 'float64':
        view.setFloat64(at, value as number, true);
        break;
      case 'uint64':
        view.setBigUint64(at, value as bigint, true);
        break;
      case 'int64':
        view.setBigInt64(at, value as bigint, true);
        break;
    }
  }

  #reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#length, 2 * this.#buffer.length));
      larger.set(this.#buffer);
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer, larger.byteOffset, larger.byteLength);
    }
    return at;
  }
}
