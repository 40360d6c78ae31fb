import { join } from 'node:path';
import { quote } from '../../base/text.js';
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors/index.js';
import { elementCount } from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { readCheckpointJson } from '../checkpoint-files.js';
import {
  badAdapter,
  type LoraAdapter,
  type LoraTensor,
  type LoraWeights,
  MAX_RANK,
  unsupportedAdapter,
} from './adapter.js';
import { type PeftConfig, readPeftConfig } from './peft-config.js';
import { type FusedFactors, fusedTensors, readFused } from './peft-experts.js';
import { type PeftKey, parsePeftKey } from './peft-keys.js';

/** Key of `__metadata__` in adapter_model.safetensors: `normChecksum` of the base. */
export const NORMS_KEY = 'cria_base_norms_sha256';

/** Several times what published models have. */
const MAX_EXPERTS = 1024;

/** The two tensors of a module. */
export interface FactorPair {
  readonly module: string;
  /** Keys and shapes `[rows, columns]` as stored. */
  readonly a: StoredFactor;
  readonly b: StoredFactor;
}

export interface StoredFactor {
  readonly key: string;
  readonly shape: readonly [number, number];
}

type Read = () => Promise<LoraWeights>;
/** A tensor of the adapter and how to get it. */
export type Readable = readonly [tensor: LoraTensor, read: Read];
/** A stored tensor as floats. */
export type ReadFactor = (factor: StoredFactor) => Promise<Float32Array>;

/**
 * Opens a PEFT folder. Throws `bad-adapter` and `unsupported-adapter` naming the tensor, `no-adapter` (not-found),
 * `bad-config`, and the codes of `openSafetensors`.
 */
export async function openPeftAdapter(folder: string): Promise<LoraAdapter> {
  const config = readPeftConfig(folder, await readCheckpointJson(folder, 'adapter_config.json'));
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  try {
    return new PeftAdapter(folder, config, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class PeftAdapter implements LoraAdapter {
  readonly path: string;
  readonly base: LoraAdapter['base'];
  readonly tensors: ReadonlyMap<string, LoraTensor>;
  readonly #reads = new Map<string, Read>();
  readonly #file: SafetensorsFile;

  constructor(folder: string, config: PeftConfig, file: SafetensorsFile) {
    this.path = folder;
    this.#file = file;
    this.base = { name: config.baseName, norms: file.metadata.get(NORMS_KEY) };
    const tensors = new Map<string, LoraTensor>();
    for (const [tensor, read] of readables(folder, config, file)) {
      if (tensors.has(tensor.name)) throw badAdapter(folder, `${tensor.name} is adapted twice`);
      tensors.set(tensor.name, tensor);
      this.#reads.set(tensor.name, read);
    }
    if (tensors.size === 0) throw badAdapter(folder, 'expected LoRA factors, found no tensors');
    this.tensors = tensors;
  }

  read(name: string): Promise<LoraWeights> {
    return this.#reads.get(name)!();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function readables(folder: string, config: PeftConfig, file: SafetensorsFile): Readable[] {
  const read: ReadFactor = async ({ key, shape }) => {
    const { dtype, bytes } = file.tensors.get(key)!;
    const stored = new Uint8Array(bytes);
    await file.read(key, 0, stored);
    const floats = new Float32Array(elementCount(shape));
    blockFormat(dtype as 'F32' | 'F16' | 'BF16').decode(stored, floats);
    return floats;
  };
  const linears: Readable[] = [];
  const experts = new Map<string, Map<number, FactorPair>>();
  const fused = new Map<number, FusedFactors>();
  for (const [key, pair] of pairsOf(folder, file)) {
    if (key.kind === 'linear') {
      linears.push([linearTensor(folder, config, key.gguf, pair), () => readPair(pair, read)]);
    } else if (key.kind === 'expert') {
      const matrices = experts.get(key.gguf) ?? new Map<number, FactorPair>();
      matrices.set(key.expert, pair);
      experts.set(key.gguf, matrices);
    } else {
      const layer = fused.get(key.layer) ?? {};
      fused.set(key.layer, { ...layer, [key.nested ? 'inner' : 'outer']: pair });
    }
  }
  const count = Math.max(0, ...[...experts.values()].flatMap((matrices) => [...matrices.keys()])) + 1;
  if (count > MAX_EXPERTS)
    throw badAdapter(folder, `expected at most ${MAX_EXPERTS} experts, found number ${count - 1}`);
  return [
    ...linears,
    ...[...experts].map(([gguf, matrices]) => stackedExperts(folder, config, gguf, matrices, count, read)),
    ...[...fused].flatMap(([layer, factors]) =>
      fusedTensors(folder, config, layer, factors).map(
        ([tensor, half]): Readable => [tensor, () => readFused(tensor, half, read)],
      ),
    ),
  ];
}

/** The stored tensors two by two, in their order. */
function pairsOf(folder: string, file: SafetensorsFile): [PeftKey, FactorPair][] {
  const halves = new Map<string, { key: PeftKey; A?: StoredFactor; B?: StoredFactor }>();
  for (const [name, { dtype, shape }] of file.tensors) {
    const key = parsePeftKey(name);
    if (typeof key === 'string')
      throw unsupportedAdapter(folder, `tensor ${quote(name, 120)} ${key}, which is not supported`);
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
      throw unsupportedAdapter(folder, `expected ${name} to hold F32, F16 or BF16 numbers, found ${dtype}`);
    }
    const [rows, columns, ...more] = shape;
    if (!rows || !columns || more.length > 0) {
      throw badAdapter(folder, `expected ${name} to be a matrix, found shape [${shape.join(', ')}]`);
    }
    const half = halves.get(key.module) ?? { key };
    halves.set(key.module, { ...half, [key.factor]: { key: name, shape: [rows, columns] } });
  }
  return [...halves.values()].map(({ key, A: a, B: b }) => {
    if (!a || !b)
      throw badAdapter(folder, `${key.module} has lora_${a ? 'A' : 'B'} without lora_${a ? 'B' : 'A'}`);
    return [key, { module: key.module, a, b }];
  });
}

function linearTensor(folder: string, config: PeftConfig, name: string, pair: FactorPair): LoraTensor {
  const { module, a, b } = pair;
  const rank = a.shape[0];
  if (b.shape[1] !== rank || rank > MAX_RANK || rank !== config.rank(module)) {
    throw badAdapter(
      folder,
      `${module}: expected factors of rank ${config.rank(module)}, found shapes [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`,
    );
  }
  return { name, columns: a.shape[1], rows: b.shape[0], rank, experts: 1, scale: config.scale(module) };
}

async function readPair({ a, b }: FactorPair, read: ReadFactor): Promise<LoraWeights> {
  return { a: await read(a), b: await read(b) };
}

/** Linear layers of single experts as one tensor: experts without a layer, and ranks below the largest, get zeros. */
function stackedExperts(
  folder: string,
  config: PeftConfig,
  name: string,
  matrices: ReadonlyMap<number, FactorPair>,
  experts: number,
  read: ReadFactor,
): Readable {
  const parts = [...matrices].map(([expert, pair]) => ({
    expert,
    pair,
    tensor: linearTensor(folder, config, name, pair),
  }));
  const { columns, rows, scale } = parts[0]!.tensor;
  for (const { pair, tensor } of parts) {
    if (tensor.columns === columns && tensor.rows === rows) continue;
    throw badAdapter(folder, `${pair.module}: expected the shape of the other experts, found another`);
  }
  const rank = Math.max(...parts.map(({ tensor }) => tensor.rank));
  return [
    { name, columns, rows, rank, experts, scale },
    async () => {
      const a = new Float32Array(experts * rank * columns);
      const b = new Float32Array(experts * rows * rank);
      for (const { expert, pair, tensor } of parts) {
        const weights = await readPair(pair, read);
        a.set(weights.a, expert * rank * columns);
        for (let row = 0; row < rows; row++) {
          for (let k = 0; k < tensor.rank; k++) {
            const value = weights.b[row * tensor.rank + k]!;
            b[(expert * rows + row) * rank + k] = value * (tensor.scale / scale);
          }
        }
      }
      return { a, b };
    },
  ];
}
