import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { isExpertWeight } from '../convert/lora/adapter.js';
import { huggingFaceName } from '../convert/names.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import type { LoraParameter } from './types.js';

/** Which weights get adapters, in PEFT's words. */
export interface TargetOptions {
  /** Ends of module names, one regular expression for whole names (`target_modules`), or `all-linear`. */
  readonly modules: readonly string[];
  /** Ends of the names of fused experts' parameters (`target_parameters`). */
  readonly parameters: readonly string[];
  /** The routers as well, which `all-linear` leaves out: a little training of them can send tokens anywhere. */
  readonly router: boolean;
  readonly rank: number;
  readonly alpha: number;
  readonly rsLora: boolean;
}

export const ALL_LINEAR = 'all-linear';
/** Both parameters of fused experts. */
export const EXPERT_PARAMETERS = [
  'feed_forward.experts.gate_up_proj',
  'feed_forward.experts.down_proj',
] as const;

/** Linear layers of the model class and how they are called there. */
interface Module {
  readonly tensor: string;
  /** `model.layers.0.self_attn.q_proj` */
  readonly name: string;
}

/**
 * What the classes call a module: text-only `model.…`, multimodal `language_model.model.…` (transformers 4) and
 * `model.language_model.…` (transformers 5), so that a pattern written for any of them fits.
 */
function spellings(name: string): string[] {
  return [name, `language_model.${name}`, name.replace(/^model\./, 'model.language_model.')];
}

/**
 * The adapters of a model: one for each linear layer that `modules` names, one for each layer's fused parameter that
 * `parameters` names. Throws `unknown-module` (usage) for a name that fits nothing, listing what there is, and
 * `bad-value` for what is no regular expression.
 */
export function loraParameters(
  tensors: Iterable<TensorInfo>,
  { modules, parameters, router, rank, alpha, rsLora }: TargetOptions,
): LoraParameter[] {
  const linear: Module[] = [];
  const fused = new Map<string, string[]>();
  for (const { name: tensor, shape } of tensors) {
    const name = huggingFaceName(tensor);
    if (name === undefined || shape.length < 2 || tensor === 'token_embd.weight') continue;
    if (isExpertWeight(tensor)) fused.set(name, [...(fused.get(name) ?? []), tensor].sort());
    else linear.push({ tensor, name: name.replace(/\.weight$/, '') });
  }
  const chosen = new Set(chooseModules(linear, modules));
  if (router) {
    const routers = linear.filter(({ name }) => isRouter(name));
    if (routers.length === 0) throw unknown('--train-router', 'router', linear, []);
    for (const module of routers) chosen.add(module);
  }
  const groups = linear.filter((module) => chosen.has(module)).map(({ tensor }) => [tensor]);
  groups.push(...chooseParameters(fused, parameters));
  const scale = alpha / (rsLora ? Math.sqrt(rank) : rank);
  return groups.map((group) => ({ tensors: group, rank, alpha, scale }));
}

function chooseModules(all: readonly Module[], targets: readonly string[]): Module[] {
  return targets.flatMap((target) => {
    const found =
      target === ALL_LINEAR
        ? all.filter(({ name }) => !isRouter(name) && name !== 'lm_head')
        : all.filter(matcherOf(target));
    if (found.length === 0) throw unknown('--target-modules', target, all, [ALL_LINEAR]);
    return found;
  });
}

function matcherOf(target: string): (module: Module) => boolean {
  // PEFT takes a list for the ends of names and a single text for a regular expression; a name is no other text.
  if (/^[\w.-]+$/.test(target))
    return ({ name }) => spellings(name).some((spelling) => endsIn(spelling, target));
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${target})$`);
  } catch (error) {
    const message = `--target-modules expects module names or one regular expression, found '${target}' (${(error as Error).message})`;
    throw new CriaError('usage', 'bad-value', message);
  }
  return ({ name }) => spellings(name).some((spelling) => expression.test(spelling));
}

function chooseParameters(fused: ReadonlyMap<string, string[]>, targets: readonly string[]): string[][] {
  const names = new Set<string>();
  for (const target of targets) {
    const found = [...fused.keys()].filter((name) =>
      spellings(name).some((spelling) => endsIn(spelling, target)),
    );
    if (found.length === 0) {
      const modules = [...fused.keys()].map((name) => ({ tensor: '', name }));
      throw unknown('--target-parameters', target, modules, []);
    }
    for (const name of found) names.add(name);
  }
  return [...fused].filter(([name]) => names.has(name)).map(([, tensors]) => tensors);
}

function endsIn(name: string, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

function isRouter(name: string): boolean {
  return name.endsWith('.router');
}

function unknown(
  flag: string,
  target: string,
  modules: readonly Module[],
  more: readonly string[],
): CriaError {
  const layer = /^model\.layers\.\d+\./;
  const ends = new Set(modules.map(({ name }) => name.replace(layer, '')));
  const known = [...ends, ...more];
  const last = known.map((name) => name.slice(name.lastIndexOf('.') + 1));
  const there = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none that can be trained so';
  const hint = didYouMean(target, [...last, ...known]);
  return new CriaError(
    'usage',
    'unknown-module',
    `${flag} '${target}' fits no module of the model's text part: ${there}${hint}`,
  );
}
