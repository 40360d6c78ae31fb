import { createHash, type Hash } from 'node:crypto';
import { AtomicFile } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { FileReader } from '../base/file-reader.js';
import type { Llama4Runtime } from './llama4-runtime.js';

// A sequence in a file: what a model computed for a prompt, to go on from another time.
//
//   0   "CRIASESS", u32 version, u32 length of the header
//   16  header: JSON of a SessionHeader
//       i32 tokens, then keys and values in the order of cacheRegions
//       SHA-256 of everything before
//
// All numbers are little-endian.

const MAGIC = 'CRIASESS';
const VERSION = 1;
const START_BYTES = 16;
const MAX_HEADER_BYTES = 65_536;
const HASH_BYTES = 32;
/** What is hashed and copied at once. */
const PART_BYTES = 2 ** 20;

/** What has to be the same where a session is restored, and how many tokens it holds. */
interface SessionHeader {
  /** Of the model: see sampledFingerprint. */
  readonly model: string;
  readonly keys: string;
  readonly values: string;
  readonly tokens: number;
}

/**
 * Writes what a sequence holds, under a temporary name first. Ends before the first row of a picture, which is no
 * token. Returns how many tokens were saved; writes nothing when there are none. Throws as AtomicFile does.
 */
export function saveSession(
  runtime: Llama4Runtime,
  path: string,
  model: string,
  sequence = 0,
): Promise<number> {
  return runtime.readSequence(sequence, async (tokens, regions) => {
    // The cache of chunked layers belongs to all of the tokens, so that leaving some out would make it useless.
    if (tokens.length === 0 || tokens.some((id) => id < 0)) return 0;
    const header = Buffer.from(JSON.stringify({ model, ...runtime.cacheTypes, tokens: tokens.length }));
    const start = Buffer.alloc(START_BYTES);
    start.write(MAGIC, 'latin1');
    start.writeUInt32LE(VERSION, 8);
    start.writeUInt32LE(header.length, 12);
    const file = await AtomicFile.create(path, `${path}.${process.pid}.tmp`);
    try {
      const hash = createHash('sha256');
      let offset = 0;
      for (const bytes of [start, header, littleEndian(tokens), ...regions]) {
        for (const part of parts(bytes)) {
          // A copy, since threads may not share what is hashed.
          const copy = Uint8Array.from(part);
          hash.update(copy);
          await file.write(offset, copy);
          offset += copy.length;
        }
      }
      await file.write(offset, hash.digest());
    } catch (error) {
      await file.discard();
      throw error;
    }
    await file.commit();
    return tokens.length;
  });
}

/**
 * Makes a sequence hold what a file holds, and returns how many tokens that is. Throws (bad-file) `session-format` for
 * bytes that are not a session, `session-mismatch` for one of another model or other cache types, `session-checksum`
 * for damaged ones, and as FileReader does. The sequence then holds what it held before, or nothing.
 */
export async function restoreSession(
  runtime: Llama4Runtime,
  path: string,
  model: string,
  sequence = 0,
): Promise<number> {
  const file = await FileReader.open(path);
  try {
    const hash = createHash('sha256');
    const start = await readHashed(file, 0, Buffer.alloc(START_BYTES), hash);
    if (start.toString('latin1', 0, 8) !== MAGIC) throw malformed(path, `does not begin with ${MAGIC}`);
    const version = start.readUInt32LE(8);
    if (version !== VERSION) throw malformed(path, `has version ${version}, expected ${VERSION}`);
    const headerBytes = start.readUInt32LE(12);
    if (headerBytes > MAX_HEADER_BYTES) throw malformed(path, `has a header of ${headerBytes} bytes`);
    const header = readHeader(path, await readHashed(file, START_BYTES, Buffer.alloc(headerBytes), hash));
    checkHeader(path, header, { model, ...runtime.cacheTypes, tokens: runtime.contextSize });
    const tokenBytes = await readHashed(
      file,
      START_BYTES + headerBytes,
      Buffer.alloc(header.tokens * 4),
      hash,
    );
    const tokens = Int32Array.from({ length: header.tokens }, (_, i) => tokenBytes.readInt32LE(i * 4));
    if (tokens.some((id) => id < 0 || id >= runtime.vocabSize)) {
      throw malformed(path, 'holds a token that the model has not');
    }
    await runtime.restoreSequence(sequence, tokens, async (regions) => {
      let offset = START_BYTES + headerBytes + tokenBytes.length;
      const end = offset + regions.reduce((sum, { length }) => sum + length, 0) + HASH_BYTES;
      if (file.size !== end) throw malformed(path, `has ${file.size} bytes, expected ${end}`);
      for (const region of regions) {
        for (const part of parts(region)) {
          part.set(await readHashed(file, offset, Buffer.alloc(part.length), hash));
          offset += part.length;
        }
      }
      const stored = Buffer.alloc(HASH_BYTES);
      await file.read(offset, stored);
      if (!hash.digest().equals(stored)) {
        throw new CriaError(
          'bad-file',
          'session-checksum',
          `'${path}' is damaged: its checksum does not match`,
        );
      }
    });
    return tokens.length;
  } finally {
    await file.close();
  }
}

async function readHashed(file: FileReader, offset: number, target: Buffer, hash: Hash): Promise<Buffer> {
  await file.read(offset, target);
  hash.update(target);
  return target;
}

function readHeader(path: string, bytes: Buffer): SessionHeader {
  let header: Partial<Record<keyof SessionHeader, unknown>>;
  try {
    header = JSON.parse(bytes.toString('utf8')) ?? {};
  } catch {
    throw malformed(path, 'has a header that is not JSON');
  }
  const { model, keys, values, tokens } = header;
  if (typeof model !== 'string' || typeof keys !== 'string' || typeof values !== 'string') {
    throw malformed(path, 'has a header without model and cache types');
  }
  if (!Number.isInteger(tokens) || (tokens as number) < 1)
    throw malformed(path, 'says nothing of its tokens');
  return { model, keys, values, tokens: tokens as number };
}

/** @param expected `tokens`: as many as fit */
function checkHeader(path: string, found: SessionHeader, expected: SessionHeader): void {
  const mismatch = (message: string) =>
    new CriaError('bad-file', 'session-mismatch', `'${path}' cannot be used here: ${message}`);
  if (found.model !== expected.model) throw mismatch('it was saved by another model');
  if (found.keys !== expected.keys || found.values !== expected.values) {
    throw mismatch(
      `expected a cache of ${expected.keys} keys and ${expected.values} values, found ${found.keys} and ${found.values}`,
    );
  }
  if (found.tokens > expected.tokens) {
    throw mismatch(`it holds ${found.tokens} tokens, the context ${expected.tokens}`);
  }
}

function malformed(path: string, message: string): CriaError {
  return new CriaError(
    'bad-file',
    'session-format',
    `'${path}' is not a session Cria can read: it ${message}`,
  );
}

function littleEndian(tokens: Int32Array): Buffer {
  const bytes = Buffer.alloc(tokens.length * 4);
  for (const [i, id] of tokens.entries()) bytes.writeInt32LE(id, i * 4);
  return bytes;
}

function* parts(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += PART_BYTES)
    yield bytes.subarray(start, start + PART_BYTES);
}
