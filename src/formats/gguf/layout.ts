import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import { rowBytes } from '../ggml-types.js';
import { type Metadata, type MetadataValue, rowCount, type TensorInfo } from '../tensor-source.js';
import { type FileLayout, splitTensors } from '../tensor-writer.js';
import { ALIGNMENT_KEY, align, DEFAULT_ALIGNMENT, MAX_DIMENSIONS, SPLIT_KEYS } from './constants.js';
import { encodeHeader } from './encode.js';
import { splitPath } from './split-names.js';

export interface GgufContent {
  /** Written in this order. Split keys are left out: they describe the files, not the model. */
  readonly metadata: Metadata;
  /** Written in this order. */
  readonly tensors: readonly TensorInfo[];
  /** Largest tensor data of one file in bytes, before metadata; a tensor larger than this gets its own file. */
  readonly splitMaxSize?: number;
  /** Most tensors in one file. */
  readonly splitMaxTensors?: number;
  /** Number of tensors in each file, instead of the limits: another model's division, kept. */
  readonly tensorsPerFile?: readonly number[];
}

/** llama.cpp refuses tensor names of 64 bytes (GGML_MAX_NAME) and more. */
const MAX_TENSOR_NAME_BYTES = 63;
/** split.count is a u16, and part names have five digits. */
const MAX_PARTS = 65_535;

/**
 * Lays out the GGUF file `path`, or its parts `-0000I-of-0000N.gguf` when the content does not fit in one; where
 * everything goes is known before the first tensor is computed. As gguf-py does it, the first part holds the
 * metadata, and every part the split keys. The alignment is `general.alignment`, or 32.
 *
 * Throws (internal) `gguf-bad-value` for what the format cannot say; (unsupported) `gguf-name-too-long`,
 * `gguf-too-many-parts`.
 */
export function layoutGguf(path: string, content: GgufContent): FileLayout[] {
  const { tensors } = content;
  checkTensors(tensors);
  const metadata = new Map(content.metadata);
  for (const key of Object.values(SPLIT_KEYS)) metadata.delete(key);
  const alignment = alignmentOf(metadata.get(ALIGNMENT_KEY));

  const parts = divide(content, alignment);
  if (parts.length === 1) return [layoutPart(path, metadata, tensors, alignment)];
  if (parts.length > MAX_PARTS) {
    throw new CriaError(
      'unsupported',
      'gguf-too-many-parts',
      `'${path}' would be split into ${parts.length} parts, but ${MAX_PARTS} is the most: allow larger parts`,
    );
  }
  return parts.map((part, i) => {
    const partMetadata = new Map(i === 0 ? metadata : []);
    // Readers take each file by itself, so a part without the key would be read with the default alignment.
    if (alignment !== DEFAULT_ALIGNMENT)
      partMetadata.set(ALIGNMENT_KEY, { type: 'uint32', value: alignment });
    partMetadata.set(SPLIT_KEYS.no, { type: 'uint16', value: i });
    partMetadata.set(SPLIT_KEYS.count, { type: 'uint16', value: parts.length });
    partMetadata.set(SPLIT_KEYS.tensors, { type: 'int32', value: tensors.length });
    const partPath = splitPath(path.replace(/\.gguf$/, ''), i, parts.length);
    return layoutPart(partPath, partMetadata, part, alignment);
  });
}

function divide(content: GgufContent, alignment: number): (readonly TensorInfo[])[] {
  const { tensors, splitMaxSize, splitMaxTensors, tensorsPerFile } = content;
  if (tensorsPerFile !== undefined) {
    let end = 0;
    return tensorsPerFile.map((count) => {
      end += count;
      return tensors.slice(end - count, end);
    });
  }
  const padded = tensors.map((tensor) => ({ tensor, bytes: align(tensor.bytes, alignment) }));
  return splitTensors(padded, splitMaxSize, splitMaxTensors).map((part) => part.map(({ tensor }) => tensor));
}

function layoutPart(
  path: string,
  metadata: Metadata,
  tensors: readonly TensorInfo[],
  alignment: number,
): FileLayout {
  const offsets: number[] = [];
  let end = 0;
  for (const tensor of tensors) {
    offsets.push(end);
    end += align(tensor.bytes, alignment);
  }
  const header = encodeHeader(metadata, tensors, offsets);
  const dataOffset = align(header.length, alignment);
  return {
    path,
    header,
    bytes: dataOffset + end,
    tensors: tensors.map(({ name, bytes }, i) => ({ name, bytes, offset: dataOffset + offsets[i]! })),
  };
}

function alignmentOf(entry: MetadataValue | undefined): number {
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = entry;
  if (type === 'uint32' && value > 0 && (value & (value - 1)) === 0) return value;
  throw new CriaError('internal', 'gguf-bad-value', `${ALIGNMENT_KEY} must be a uint32 power of two`);
}

function checkTensors(tensors: readonly TensorInfo[]): void {
  const names = new Set<string>();
  for (const { name, type, shape, bytes } of tensors) {
    const at = `tensor ${quote(name)}`;
    if (names.has(name)) throw new CriaError('internal', 'gguf-bad-value', `${at} is given twice`);
    names.add(name);
    if (Buffer.byteLength(name) > MAX_TENSOR_NAME_BYTES) {
      throw new CriaError(
        'unsupported',
        'gguf-name-too-long',
        `${at}: its name has ${Buffer.byteLength(name)} bytes, but llama.cpp reads at most ${MAX_TENSOR_NAME_BYTES}`,
      );
    }
    const valid =
      shape.length >= 1 &&
      shape.length <= MAX_DIMENSIONS &&
      shape.every((n) => Number.isSafeInteger(n) && n > 0);
    if (!valid || rowBytes(type, shape[0]!) * rowCount(shape) !== bytes) {
      throw new CriaError(
        'internal',
        'gguf-bad-value',
        `${at}: ${bytes} bytes do not make ${type} weights of shape [${shape.join(', ')}]`,
      );
    }
  }
}
