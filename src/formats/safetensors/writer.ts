import { basename } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { hasControlCharacter, hasLoneSurrogate, quote } from '../../base/text.js';
import { type FileLayout, splitTensors, type TensorBytes, writeTensors } from '../tensor-writer.js';
import { dtypeRank, tensorBytes } from './dtypes.js';
import type { SafetensorsInfo } from './header.js';

export interface SafetensorsContent {
  /** `__metadata__` of every file; transformers expects `format: 'pt'`. */
  readonly metadata?: ReadonlyMap<string, string>;
  /** In the order in which shards are filled. */
  readonly tensors: readonly SafetensorsInfo[];
  /** Largest tensor data of one file in bytes; a tensor larger than this gets its own file. */
  readonly maxShardSize?: number;
}

export interface SafetensorsWriteOptions extends SafetensorsContent {
  /** The bytes of a tensor; asked for in file order, one tensor at a time. */
  readonly write: (tensor: SafetensorsInfo) => TensorBytes | Promise<TensorBytes>;
}

/**
 * Lays out `NAME.safetensors`, or when the tensors do not fit in one file, shards `NAME-0000I-of-0000N.safetensors`
 * and `NAME.safetensors.index.json`, last. Within a file, tensors are sorted as the Rust library sorts them: widest
 * type first, then by name. Throws `safetensors-bad-value` (internal) for what the format cannot say.
 */
export function layoutSafetensors(path: string, content: SafetensorsContent): FileLayout[] {
  const { metadata, tensors } = content;
  if (!path.endsWith('.safetensors')) throw badValue(`'${path}': expected a name that ends in .safetensors`);
  checkTensors(tensors);
  const parts = splitTensors(tensors, content.maxShardSize);
  if (parts.length === 1) return [layoutFile(path, metadata, tensors)];

  const prefix = path.slice(0, -'.safetensors'.length);
  const digits = (n: number) => String(n).padStart(5, '0');
  const layout = parts.map((part, i) =>
    layoutFile(`${prefix}-${digits(i + 1)}-of-${digits(parts.length)}.safetensors`, metadata, part),
  );
  return [...layout, layoutIndex(`${path}.index.json`, layout)];
}

/**
 * Writes a whole checkpoint and returns the paths of its files. Nothing appears under these paths unless everything
 * succeeds.
 */
export async function writeSafetensors(path: string, options: SafetensorsWriteOptions): Promise<string[]> {
  const layout = layoutSafetensors(path, options);
  const infos = new Map(options.tensors.map((tensor) => [tensor.name, tensor]));
  await writeTensors(layout, (name) => options.write(infos.get(name)!));
  return layout.map((file) => file.path);
}

function layoutFile(
  path: string,
  metadata: ReadonlyMap<string, string> | undefined,
  tensors: readonly SafetensorsInfo[],
): FileLayout {
  const sorted = tensors.toSorted(
    (a, b) =>
      dtypeRank(b.dtype) - dtypeRank(a.dtype) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  // Written entry by entry because an object would move names that look like numbers to the front.
  const entries = metadata === undefined ? [] : [`"__metadata__":${stringifyPairs(metadata)}`];
  let end = 0;
  for (const { name, dtype, shape, bytes } of sorted) {
    const entry = { dtype, shape, data_offsets: [end, end + bytes] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    end += bytes;
  }
  const json = Buffer.from(`{${entries.join(',')}}`);
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  let offset = header.length;
  const placed = sorted.map(({ name, bytes }) => {
    const place = { name, bytes, offset };
    offset += bytes;
    return place;
  });
  return { path, header, bytes: offset, tensors: placed };
}

/** The index as transformers writes it: sorted names, two spaces of indentation. */
function layoutIndex(path: string, files: readonly FileLayout[]): FileLayout {
  const placed = files.flatMap((file) => file.tensors.map((tensor) => ({ ...tensor, file: file.path })));
  const totalSize = placed.reduce((sum, { bytes }) => sum + bytes, 0);
  const pairs = placed
    .map(({ name, file }) => [name, basename(file)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = pairs.map(([name, file]) => `    ${JSON.stringify(name)}: ${JSON.stringify(file)}`);
  const json = `{\n  "metadata": {\n    "total_size": ${totalSize}\n  },\n  "weight_map": {\n${lines.join(',\n')}\n  }\n}\n`;
  const header = Buffer.from(json);
  return { path, header, bytes: header.length, tensors: [] };
}

function stringifyPairs(pairs: ReadonlyMap<string, string>): string {
  return `{${[...pairs].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
}

function checkTensors(tensors: readonly SafetensorsInfo[]): void {
  const names = new Set<string>();
  for (const { name, dtype, shape, bytes } of tensors) {
    if (names.has(name)) throw badValue(`tensor ${quote(name)} is given twice`);
    names.add(name);
    if (name === '__metadata__' || hasControlCharacter(name) || hasLoneSurrogate(name)) {
      throw badValue(`${quote(name)} cannot be a tensor name`);
    }
    const valid = shape.every((n) => Number.isSafeInteger(n) && n >= 0) && Number.isSafeInteger(bytes);
    if (!valid || tensorBytes(dtype, shape) !== bytes) {
      throw badValue(
        `tensor ${quote(name)}: ${bytes} bytes do not make ${dtype} of shape [${shape.join(', ')}]`,
      );
    }
  }
}

function badValue(message: string): CriaError {
  return new CriaError('internal', 'safetensors-bad-value', message);
}
