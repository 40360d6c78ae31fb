import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { fileError } from '../../base/file-errors.js';
import { type SafetensorsInfo, writeSafetensors } from '../../formats/safetensors/index.js';
import { huggingFaceName } from '../names.js';
import { checkEmptyFolder } from '../output-checks.js';
import {
  isExpertWeight,
  type LoraAdapter,
  type LoraTensor,
  mostCommon,
  unsupportedAdapter,
} from './adapter.js';
import { NORMS_KEY } from './open-peft.js';
import { fuseFactors } from './peft-experts.js';
import { FUSED_PARAMETERS } from './peft-keys.js';

/** One module of the output: PEFT's name of it, what identifies it in patterns, and its factors. */
interface Module {
  /** Without `base_model.model.` */
  readonly key: string;
  /** Module, or module and parameter. */
  readonly target: string;
  readonly parameter: boolean;
  readonly rank: number;
  readonly alpha: number;
  readonly shapes: { readonly a: readonly [number, number]; readonly b: readonly [number, number] };
  readonly read: () => Promise<{ readonly a: Float32Array; readonly b: Float32Array }>;
}

/**
 * Writes an adapter as a PEFT folder for Llama 4's multimodal class, routed experts in the fused layout. On any
 * failure nothing is left. Throws `folder-not-empty`, `unsupported-adapter` for weights that have no module.
 */
export async function writePeftAdapter(folder: string, adapter: LoraAdapter): Promise<void> {
  const modules = await planModules(adapter);
  await checkEmptyFolder(folder);
  const partial = await mkdtemp(`${resolve(folder)}.partial-`).catch((error) => {
    throw fileError(error, 'write', folder);
  });
  try {
    const factors = new Map<string, { module: Module; part: 'a' | 'b' }>();
    const tensors = modules.flatMap((module) =>
      (['a', 'b'] as const).map((part): SafetensorsInfo => {
        const name = `base_model.model.${module.key}.lora_${part.toUpperCase()}.weight`;
        const shape = module.shapes[part];
        factors.set(name, { module, part });
        return { name, dtype: 'F32', shape, bytes: 4 * shape[0] * shape[1] };
      }),
    );
    const { norms } = adapter.base;
    await writeSafetensors(join(partial, 'adapter_model.safetensors'), {
      metadata: new Map([['format', 'pt'], ...(norms === undefined ? [] : [[NORMS_KEY, norms] as const])]),
      tensors,
      write: async ({ name }) => {
        const { module, part } = factors.get(name)!;
        return new Uint8Array((await module.read())[part].buffer);
      },
    });
    const json = JSON.stringify(configOf(adapter, modules), null, 2);
    await writeFileAtomic(join(partial, 'adapter_config.json'), `${json}\n`);
    await rename(partial, folder).catch((error) => {
      throw fileError(error, 'write', folder);
    });
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function planModules(adapter: LoraAdapter): Promise<Module[]> {
  const modules: Module[] = [];
  const fused = new Map<string, LoraTensor[]>();
  for (const tensor of adapter.tensors.values()) {
    const name = huggingFaceName(tensor.name);
    if (name === undefined) {
      throw unsupportedAdapter(
        adapter.path,
        `${tensor.name} belongs to no linear layer of a Llama 4 text model`,
      );
    }
    const target = classPath(name);
    if (isExpertWeight(tensor.name)) fused.set(target, [...(fused.get(target) ?? []), tensor]);
    else {
      const { columns, rows, rank, scale } = tensor;
      const module = target.replace(/\.weight$/, '');
      modules.push({
        key: module,
        target: module,
        parameter: false,
        rank,
        alpha: scale * rank,
        shapes: { a: [rank, columns], b: [rows, rank] },
        read: () => adapter.read(tensor.name),
      });
    }
  }
  for (const [target, tensors] of fused) modules.push(await fusedModule(adapter, target, tensors, fused));
  return modules;
}

/** Names of the multimodal class, which the published checkpoints have. */
function classPath(canonical: string): string {
  return `language_model.${canonical}`;
}

async function fusedModule(
  adapter: LoraAdapter,
  target: string,
  tensors: readonly LoraTensor[],
  all: ReadonlyMap<string, unknown>,
): Promise<Module> {
  const gateUp = target.endsWith(FUSED_PARAMETERS.gateUp);
  const first = tensors[0]!;
  const { columns, rows, experts, scale } = first;
  const gate = tensors.find(({ name }) => name.includes('ffn_gate'));
  const up = tensors.find(({ name }) => name.includes('ffn_up'));
  const shared = gate && up ? await shareInputs(adapter, gate, up) : true;
  const rank = shared ? first.rank : tensors.reduce((sum, tensor) => sum + tensor.rank, 0);
  const outputs = gateUp ? 2 * rows : rows;
  const module = target.slice(0, target.lastIndexOf('.'));
  const nested = gateUp && all.has(`${module}.${FUSED_PARAMETERS.down}`);
  return {
    key: nested ? `${module}.base_layer` : module,
    target,
    parameter: true,
    rank,
    alpha: scale * rank,
    shapes: { a: [experts * rank, outputs], b: [columns, rank * experts] },
    read: async () => {
      if (!gateUp) {
        const { a, b } = await adapter.read(first.name);
        return fuseFactors({ columns, rank, experts }, a, [{ rows, b }]);
      }
      const a = new Float32Array(experts * rank * columns);
      let offset = 0;
      const halves: { rows: number; b: Float32Array }[] = [];
      for (const tensor of [gate, up]) {
        const b = new Float32Array(experts * rows * rank);
        halves.push({ rows, b });
        if (!tensor) continue;
        const weights = await adapter.read(tensor.name);
        for (let e = 0; e < experts; e++) {
          const source = weights.a.subarray(e * tensor.rank * columns, (e + 1) * tensor.rank * columns);
          a.set(source, (e * rank + offset) * columns);
          for (let row = 0; row < rows; row++) {
            for (let k = 0; k < tensor.rank; k++) {
              const value = weights.b[(e * rows + row) * tensor.rank + k]!;
              b[(e * rows + row) * rank + offset + k] = value * (tensor.scale / scale);
            }
          }
        }
        if (!shared) offset += tensor.rank;
      }
      return fuseFactors({ columns, rank, experts }, a, halves);
    },
  };
}

/** Whether gate and up read their inputs through the same factors, as those made from a fused parameter do. */
async function shareInputs(adapter: LoraAdapter, gate: LoraTensor, up: LoraTensor): Promise<boolean> {
  if (gate.rank !== up.rank) return false;
  const { a } = await adapter.read(gate.name);
  const other = (await adapter.read(up.name)).a;
  return a.every((value, i) => value === other[i]);
}

function configOf(adapter: LoraAdapter, modules: readonly Module[]): object {
  const rank = mostCommon(modules.map((module) => module.rank));
  const alpha = mostCommon(modules.map((module) => module.alpha));
  const others = (pick: 'rank' | 'alpha', usual: number) =>
    Object.fromEntries(
      modules.filter((module) => module[pick] !== usual).map((module) => [module.target, module[pick]]),
    );
  const parameters = modules.filter(({ parameter }) => parameter).map(({ target }) => target);
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: adapter.base.name ?? null,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_dora: false,
    use_rslora: false,
    modules_to_save: null,
    rank_pattern: others('rank', rank),
    alpha_pattern: others('alpha', alpha),
    target_modules: modules.filter(({ parameter }) => !parameter).map(({ target }) => target),
    target_parameters: parameters.length > 0 ? parameters : null,
  };
}
