import { basename } from 'node:path';
import { quote } from '../../base/text.js';
import { type GgufFile, openGguf, writeGguf } from '../../formats/gguf/index.js';
import {
  elementCount,
  type Metadata,
  type MetadataValue,
  type TensorInfo,
} from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { f32, text, u32 } from '../metadata-values.js';
import {
  badAdapter,
  isExpertWeight,
  type LoraAdapter,
  type LoraTensor,
  type LoraWeights,
  MAX_RANK,
  mostCommon,
  unsupportedAdapter,
} from './adapter.js';

// llama.cpp's adapters (convert_lora_to_gguf.py and llama-adapter.cpp of v0.5.0): per weight W the tensors `W.lora_a`
// [inputs, rank(, experts)] and `W.lora_b` [rank, outputs(, experts)]. The factor is alpha / rank, or 1 if alpha is 0.
const KEYS = {
  architecture: 'general.architecture',
  type: 'general.type',
  name: 'general.name',
  baseCount: 'general.base_model.count',
  baseName: 'general.base_model.0.name',
  adapterType: 'adapter.type',
  alpha: 'adapter.lora.alpha',
  invocation: 'adapter.alora.invocation_tokens',
  /** `normChecksum` of the base. */
  norms: 'cria.base.norms_sha256',
} as const;

const A = '.lora_a';
const B = '.lora_b';

/** Whether a GGUF file is an adapter and no model. */
export function isGgufAdapter(metadata: Metadata): boolean {
  return metadata.get(KEYS.type)?.value === 'adapter';
}

/** Opens a GGUF adapter. Throws the codes of `openGguf`, `bad-adapter` and `unsupported-adapter`. */
export async function openGgufAdapter(path: string): Promise<LoraAdapter> {
  const file = await openGguf(path);
  try {
    return new GgufAdapter(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class GgufAdapter implements LoraAdapter {
  readonly path: string;
  readonly base: LoraAdapter['base'];
  readonly tensors: ReadonlyMap<string, LoraTensor>;
  readonly #file: GgufFile;

  constructor(file: GgufFile) {
    this.path = file.path;
    this.#file = file;
    this.base = {
      name: stringOf(file.metadata.get(KEYS.baseName)),
      norms: stringOf(file.metadata.get(KEYS.norms)),
    };
    this.tensors = readTensors(file);
  }

  async read(name: string): Promise<LoraWeights> {
    return { a: await this.#floats(name + A), b: await this.#floats(name + B) };
  }

  async #floats(name: string): Promise<Float32Array> {
    const info = this.#file.tensors.get(name)!;
    const bytes = new Uint8Array(info.bytes);
    await this.#file.read(name, 0, bytes);
    const floats = new Float32Array(elementCount(info.shape));
    blockFormat(info.type).decode(bytes, floats);
    return floats;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function readTensors(file: GgufFile): Map<string, LoraTensor> {
  const { path, metadata } = file;
  if (!isGgufAdapter(metadata)) throw badAdapter(path, 'expected general.type "adapter", found a model');
  const architecture = metadata.get(KEYS.architecture)?.value;
  if (architecture !== 'llama4') {
    throw unsupportedAdapter(path, `expected an adapter of llama4, found ${describe(architecture)}`);
  }
  const type = metadata.get(KEYS.adapterType)?.value;
  if (type !== 'lora')
    throw unsupportedAdapter(path, `expected ${KEYS.adapterType} "lora", found ${describe(type)}`);
  if (metadata.has(KEYS.invocation))
    throw unsupportedAdapter(path, 'activated LoRA (aLoRA) is not supported');
  const alpha = metadata.get(KEYS.alpha)?.value ?? 0;
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) {
    throw badAdapter(path, `expected ${KEYS.alpha} to be a number, found ${describe(alpha)}`);
  }
  const tensors = new Map<string, LoraTensor>();
  for (const name of file.tensors.keys()) {
    // llama.cpp's converter leaves norms in, which its reader passes over.
    if (name.endsWith('_norm.weight')) continue;
    const suffix = [A, B].find((end) => name.endsWith(end));
    if (suffix === undefined)
      throw unsupportedAdapter(path, `found tensor ${quote(name)}, which is no ${A} or ${B}`);
    if (suffix === A) {
      const weight = name.slice(0, -A.length);
      tensors.set(weight, pairOf(file, weight, alpha));
    } else if (!file.tensors.has(name.slice(0, -B.length) + A)) {
      throw badAdapter(path, `${quote(name)} is there without its ${A}`);
    }
  }
  if (tensors.size === 0)
    throw badAdapter(path, `expected tensors with the endings ${A} and ${B}, found none`);
  return tensors;
}

function pairOf(file: GgufFile, name: string, alpha: number): LoraTensor {
  const { path } = file;
  if (name === 'token_embd.weight') {
    throw unsupportedAdapter(
      path,
      'it adapts the token embeddings (token_embd.weight), which is not supported',
    );
  }
  const a = file.tensors.get(name + A)!.shape;
  const b = file.tensors.get(name + B)?.shape;
  if (b === undefined) throw badAdapter(path, `${quote(name + A)} is there without its ${B}`);
  const [columns = 1, rank = 1, experts = 1] = a;
  const [rankB = 1, rows = 1, expertsB = 1] = b;
  const most = isExpertWeight(name) ? 3 : 2;
  if (a.length > most || b.length > most || rank !== rankB || experts !== expertsB || rank > MAX_RANK) {
    throw badAdapter(
      path,
      `${quote(name)}: factors of shapes [${a.join(', ')}] and [${b.join(', ')}] do not belong together`,
    );
  }
  return { name, columns, rows, rank, experts, scale: alpha === 0 ? 1 : alpha / rank };
}

/**
 * Writes an adapter as llama.cpp reads it, in F32. There is one alpha per file: where factors differ, B takes the rest.
 * Throws the codes of `writeGguf`.
 */
export async function writeGgufAdapter(path: string, adapter: LoraAdapter): Promise<void> {
  const tensors = [...adapter.tensors.values()];
  const alpha = Math.fround(mostCommon(tensors.map(({ scale, rank }) => scale * rank)));
  const { name, norms } = adapter.base;
  const metadata = new Map<string, MetadataValue>([
    [KEYS.architecture, text('llama4')],
    [KEYS.type, text('adapter')],
    [KEYS.adapterType, text('lora')],
    [KEYS.name, text(basename(adapter.path).replace(/\.gguf$/i, ''))],
    [KEYS.alpha, f32(alpha)],
  ]);
  if (name !== undefined) {
    metadata.set(KEYS.baseCount, u32(1));
    metadata.set(KEYS.baseName, text(name));
  }
  if (norms !== undefined) metadata.set(KEYS.norms, text(norms));
  const factors = new Map<string, { tensor: LoraTensor; part: 'a' | 'b' }>();
  const infos = tensors.flatMap((tensor) => {
    const { columns, rows, rank, experts } = tensor;
    const last = isExpertWeight(tensor.name) ? [experts] : [];
    factors.set(tensor.name + A, { tensor, part: 'a' });
    factors.set(tensor.name + B, { tensor, part: 'b' });
    return [
      floatInfo(tensor.name + A, [columns, rank, ...last]),
      floatInfo(tensor.name + B, [rank, rows, ...last]),
    ];
  });
  await writeGguf(path, {
    metadata,
    tensors: infos,
    write: async (info) => {
      const { tensor, part } = factors.get(info.name)!;
      const values = (await adapter.read(tensor.name))[part];
      const factor = (tensor.scale * tensor.rank) / alpha;
      const exact = part === 'a' || Math.abs(factor - 1) < 1e-7;
      return new Uint8Array((exact ? values : values.map((value) => value * factor)).buffer);
    },
  });
}

function floatInfo(name: string, shape: readonly number[]): TensorInfo {
  return { name, type: 'F32', shape, bytes: 4 * elementCount(shape) };
}

function stringOf(entry: MetadataValue | undefined): string | undefined {
  return entry?.type === 'string' ? entry.value : undefined;
}

function describe(value: unknown): string {
  return typeof value === 'string' ? quote(value) : value === undefined ? 'none' : String(value);
}
