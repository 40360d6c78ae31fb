import { quote } from '../../base/text.js';
import { type GgufFile, type GgufTensor, openGguf, writeGguf } from '../gguf/index.js';
import type { MetadataValue, TensorInfo } from '../tensor-source.js';
import { badImatrix, checkValues } from './checks.js';
import type { Imatrix, ImatrixEntry } from './imatrix.js';

// The GGUF form (llama.cpp, tools/imatrix): per weight tensor `W.in_sum2` [columns, matrices] and `W.counts`
// [1, matrices], both F32, trailing dimensions of 1 left out. There is no general.architecture.
const SUMS = '.in_sum2';
const COUNTS = '.counts';
const KEYS = {
  type: 'general.type',
  datasets: 'imatrix.datasets',
  /** One for each dataset, empty where unknown. */
  datasetHashes: 'cria.imatrix.dataset_sha256',
  chunkCount: 'imatrix.chunk_count',
  chunkSize: 'imatrix.chunk_size',
} as const;

/** Reads the GGUF form. Throws the codes of `openGguf` and `imatrix-…` (see `readImatrix`). */
export async function readGgufImatrix(path: string): Promise<Imatrix> {
  const file = await openGguf(path);
  try {
    const type = file.metadata.get(KEYS.type)?.value;
    if (type !== 'imatrix') {
      const found = typeof type === 'string' ? quote(type) : 'none';
      throw badImatrix(path, 'imatrix-bad-type', `expected ${KEYS.type} "imatrix", found ${found}`);
    }
    const entries = new Map<string, ImatrixEntry>();
    for (const name of pairNames(file)) entries.set(name, await readEntry(file, name));
    const datasets = strings(file.metadata.get(KEYS.datasets));
    const hashes = strings(file.metadata.get(KEYS.datasetHashes));
    return {
      datasets,
      datasetHashes: new Map(datasets.flatMap((name, i) => (hashes[i] ? [[name, hashes[i]] as const] : []))),
      chunkCount: count(file.metadata.get(KEYS.chunkCount)),
      chunkSize: count(file.metadata.get(KEYS.chunkSize)),
      entries,
    };
  } finally {
    await file.close();
  }
}

/** Names of the weight tensors, each with both of its tensors present. */
function pairNames(file: GgufFile): string[] {
  const names: string[] = [];
  for (const name of file.tensors.keys()) {
    const suffix = [SUMS, COUNTS].find((end) => name.endsWith(end));
    // Later versions also write the sums themselves (`W.in_sum`), which weigh nothing.
    if (suffix === undefined) continue;
    const weight = name.slice(0, -suffix.length);
    const other = weight + (suffix === SUMS ? COUNTS : SUMS);
    if (!file.tensors.has(other)) {
      throw badImatrix(file.path, 'imatrix-missing-pair', `${quote(name)} is there without ${quote(other)}`);
    }
    if (suffix === SUMS) names.push(weight);
  }
  return names;
}

async function readEntry(file: GgufFile, name: string): Promise<ImatrixEntry> {
  const sums = file.tensors.get(name + SUMS)!;
  const counts = file.tensors.get(name + COUNTS)!;
  const matrices = sums.shape.slice(1).reduce((product, n) => product * n, 1);
  const counted = counts.shape.reduce((product, n) => product * n, 1);
  if (counts.shape[0] !== 1 || counted !== matrices) {
    throw badImatrix(
      file.path,
      'imatrix-bad-shape',
      `${quote(name)}: sums of shape [${sums.shape.join(', ')}] need ${matrices} counts, ` +
        `found shape [${counts.shape.join(', ')}]`,
    );
  }
  const entry = { sums: await readFloats(file, sums), counts: await readFloats(file, counts) };
  checkValues(file.path, name, entry);
  return entry;
}

async function readFloats(file: GgufFile, tensor: GgufTensor): Promise<Float32Array> {
  if (tensor.type !== 'F32') {
    throw badImatrix(
      file.path,
      'imatrix-bad-tensor',
      `${quote(tensor.name)}: expected type F32, found ${tensor.type}`,
    );
  }
  const floats = new Float32Array(tensor.bytes / 4);
  await file.read(tensor.name, 0, new Uint8Array(floats.buffer));
  return floats;
}

function strings(entry: MetadataValue | undefined): string[] {
  if (entry?.type !== 'array' || entry.items !== 'string') return [];
  return entry.value as string[];
}

function count(entry: MetadataValue | undefined): number {
  return entry?.type === 'uint32' ? entry.value : 0;
}

/** Writes the GGUF form, byte for byte as llama-imatrix would. Throws the codes of AtomicFile. */
export async function writeGgufImatrix(path: string, imatrix: Imatrix): Promise<void> {
  const metadata = new Map<string, MetadataValue>([
    [KEYS.type, { type: 'string', value: 'imatrix' }],
    [KEYS.datasets, { type: 'array', items: 'string', value: imatrix.datasets }],
    [KEYS.chunkCount, { type: 'uint32', value: imatrix.chunkCount }],
    [KEYS.chunkSize, { type: 'uint32', value: imatrix.chunkSize }],
  ]);
  const hashes = imatrix.datasets.map((name) => imatrix.datasetHashes?.get(name) ?? '');
  if (hashes.some(Boolean))
    metadata.set(KEYS.datasetHashes, { type: 'array', items: 'string', value: hashes });
  const values = new Map<string, ArrayLike<number>>();
  const tensors: TensorInfo[] = [];
  const add = (name: string, columns: number, data: ArrayLike<number>) => {
    const matrices = data.length / columns;
    const shape = matrices > 1 ? [columns, matrices] : [columns];
    tensors.push({ name, type: 'F32', shape, bytes: data.length * 4 });
    values.set(name, data);
  };
  for (const [name, { sums, counts }] of sortedEntries(imatrix)) {
    add(name + SUMS, sums.length / counts.length, sums);
    add(name + COUNTS, 1, counts);
  }
  await writeGguf(path, {
    metadata,
    tensors,
    write: ({ name }) => new Uint8Array(Float32Array.from(values.get(name)!).buffer),
  });
}

/** Entries by name, in the byte order that llama-imatrix writes them in. */
export function sortedEntries(imatrix: Imatrix): [name: string, entry: ImatrixEntry][] {
  return [...imatrix.entries].sort(([a], [b]) => (a < b ? -1 : 1));
}
