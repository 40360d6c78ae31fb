import { CriaError, type ErrorKind } from '../../base/errors.js';
import { findJsonFault } from '../../base/json-text.js';
import { decodeUtf8, hasControlCharacter, quote } from '../../base/text.js';
import { isSafetensorsDtype, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from './dtypes.js';

/** Limits on what a file may ask for. */
export const SAFETENSORS_LIMITS = {
  /** Of the Rust library; the largest real headers have a few MB. */
  headerBytes: 100_000_000,
  /** No framework goes beyond 32 or 64 dimensions. */
  dimensions: 64,
  /** The header is an object of objects of arrays. */
  depth: 3,
  /** Each shard keeps a file open; the largest checkpoints have some hundred. */
  shards: 4096,
} as const;

export interface SafetensorsInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** As in torch: the last dimension is the fastest. Empty for a single value; may contain 0. */
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** A tensor as the header describes it, `offset` counting from the start of the tensor data. */
export interface HeaderTensor extends SafetensorsInfo {
  readonly offset: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In header order. */
  readonly tensors: readonly HeaderTensor[];
}

/**
 * Reads the JSON header of a file whose tensor data has `dataBytes`. As the Rust library demands, the tensors fill
 * the data without gap or overlap. Throws CriaError with a `safetensors-…` code.
 */
export function parseHeader(bytes: Buffer, dataBytes: number, path: string): SafetensorsHeader {
  const root = parseJson(bytes, SAFETENSORS_LIMITS.depth, path);
  let metadata: ReadonlyMap<string, string> = new Map();
  const tensors: HeaderTensor[] = [];
  for (const [name, entry] of Object.entries(root)) {
    if (name === '__metadata__') metadata = parseMetadata(entry, path);
    else tensors.push(parseTensor(name, entry, path));
  }
  checkPlaces(tensors, dataBytes, path);
  return { metadata, tensors };
}

/** An object from JSON in UTF-8 in which no key appears twice. */
export function parseJson(bytes: Buffer, maxDepth: number, path: string): Record<string, unknown> {
  const text = decodeUtf8(bytes, 0, bytes.length);
  if (text === undefined) throw bad(path, 'safetensors-bad-utf8', 'its JSON is not valid UTF-8');
  const fault = findJsonFault(text, maxDepth);
  if (fault?.kind === 'duplicate-key') {
    throw bad(path, 'safetensors-duplicate-key', `${quote(fault.key)} appears twice in its JSON`);
  }
  if (fault?.kind === 'too-deep') {
    throw bad(path, 'safetensors-bad-json', `its JSON is nested more than ${maxDepth} deep`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(
      path,
      'safetensors-bad-json',
      `expected JSON, found ${quote(text)} (${quote((error as Error).name)})`,
    );
  }
  if (!isObject(value))
    throw bad(path, 'safetensors-bad-json', `expected a JSON object, found ${quote(text)}`);
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function bad(path: string, code: string, message: string, kind: ErrorKind = 'bad-file'): CriaError {
  return new CriaError(kind, code, `'${path}': ${message}`);
}

function parseMetadata(entry: unknown, path: string): ReadonlyMap<string, string> {
  const pairs = isObject(entry) ? Object.entries(entry) : [['', null] as const];
  const metadata = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (typeof value !== 'string') {
      throw bad(path, 'safetensors-bad-metadata', '__metadata__: expected an object of strings');
    }
    metadata.set(key, value);
  }
  return metadata;
}

function parseTensor(name: string, entry: unknown, path: string): HeaderTensor {
  const at = `tensor ${quote(name)}`;
  if (hasControlCharacter(name)) {
    throw bad(path, 'safetensors-bad-name', `${at}: expected a name of printable text`);
  }
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (!isSafetensorsDtype(dtype)) {
    const known = SAFETENSORS_DTYPES.join(', ');
    if (typeof dtype !== 'string') throw bad(path, 'safetensors-bad-tensor', `${at}: it has no dtype`);
    const message = `${at}: expected a dtype of ${known}, found ${quote(dtype)}`;
    throw bad(path, 'safetensors-unknown-dtype', message, 'unsupported');
  }
  if (!isIntegers(shape) || shape.length > SAFETENSORS_LIMITS.dimensions) {
    throw bad(
      path,
      'safetensors-bad-tensor',
      `${at}: expected a shape of at most ${SAFETENSORS_LIMITS.dimensions} whole numbers`,
    );
  }
  const bytes = tensorBytes(dtype, shape);
  if (!isIntegers(offsets) || offsets.length !== 2 || offsets[1]! - offsets[0]! !== bytes) {
    throw bad(
      path,
      'safetensors-bad-tensor',
      `${at}: ${dtype} of shape [${shape.join(', ')}] takes ${bytes} bytes, found data_offsets ${quote(JSON.stringify(offsets) ?? 'none')}`,
    );
  }
  return { name, dtype, shape, bytes, offset: offsets[0]! };
}

function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function checkPlaces(tensors: readonly HeaderTensor[], dataBytes: number, path: string): void {
  let end = 0;
  for (const { name, offset, bytes } of tensors.toSorted(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (offset !== end) {
      const what = offset < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw bad(
        path,
        'safetensors-bad-offsets',
        `tensor ${quote(name)} ${what}: expected offset ${end}, found ${offset}`,
      );
    }
    end += bytes;
  }
  if (end !== dataBytes) {
    throw bad(
      path,
      'safetensors-wrong-size',
      `its tensors take ${end} bytes, but ${dataBytes} follow the header; it may be an incomplete download`,
    );
  }
}
