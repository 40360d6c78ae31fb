import { FieldReader } from '../field-reader.js';
import { badAdapter, MAX_RANK, unsupportedAdapter } from './adapter.js';

/** What `adapter_config.json` says about a module's factors. */
export interface PeftConfig {
  readonly baseName: string | undefined;
  /** Parameters that are no modules of their own: fused experts. */
  readonly targetParameters: readonly string[];
  readonly rank: (module: string) => number;
  /** The factor of B A. */
  readonly scale: (module: string) => number;
}

/** Fields that change what the factors mean, when they are set; PEFT's names. */
const UNSUPPORTED = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'layer_replication',
  'alora_invocation_tokens',
] as const;
const MAX_PATTERN_LENGTH = 1000;
/** More of them, or repeated groups, could take a matcher that goes back forever. */
const MAX_REPETITIONS = 3;

/** Reads `adapter_config.json`; unknown fields pass. Throws `bad-config`, `bad-adapter`, `unsupported-adapter`. */
export function readPeftConfig(path: string, json: unknown): PeftConfig {
  const fields = FieldReader.ofObject(`${path}/adapter_config.json`, json);
  const kind = fields.text('peft_type');
  if (kind !== 'LORA') throw unsupportedAdapter(path, `expected peft_type "LORA", found ${kind ?? 'none'}`);
  for (const key of UNSUPPORTED) {
    const value = fields.value(key);
    if (value !== undefined && value !== false) {
      const name = key === 'use_dora' ? 'DoRA (use_dora)' : key;
      throw unsupportedAdapter(path, `${name} is not supported: expected plain LoRA factors`);
    }
  }
  const rank = fields.integer('r', 1, MAX_RANK, 8);
  const alpha = fields.positive('lora_alpha', 8);
  const stabilized = fields.flag('use_rslora', false);
  const ranks = patterns(fields, 'rank_pattern');
  const alphas = patterns(fields, 'alpha_pattern');
  const rankOf = (module: string) => {
    const value = ranks(module) ?? rank;
    if (Number.isInteger(value) && value >= 1 && value <= MAX_RANK) return value;
    throw badAdapter(
      path,
      `expected the rank of ${module} to be a whole number up to ${MAX_RANK}, found ${value}`,
    );
  };
  const targets = fields.list('target_parameters') ?? [];
  return {
    baseName: fields.text('base_model_name_or_path'),
    targetParameters: targets.filter((target) => typeof target === 'string'),
    rank: rankOf,
    scale: (module) => {
      const r = rankOf(module);
      return (alphas(module) ?? alpha) / (stabilized ? Math.sqrt(r) : r);
    },
  };
}

/**
 * A lookup of a module's own value: keys are the ends of module names, or regular expressions for them (PEFT's
 * `get_pattern_key`).
 */
function patterns(fields: FieldReader, key: string): (module: string) => number | undefined {
  const json = fields.value(key) ?? {};
  if (typeof json !== 'object' || Array.isArray(json)) throw fields.refuse(key, 'an object of numbers');
  const entries = Object.entries(json as Record<string, unknown>).map(([pattern, value]) => {
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw fields.refuse(key, 'an object of numbers');
    return { matches: endMatcher(fields, key, pattern), value };
  });
  return (module) => entries.find(({ matches }) => matches(module))?.value;
}

function endMatcher(fields: FieldReader, key: string, pattern: string): (module: string) => boolean {
  // Most keys are plain names; those are compared as they are.
  if (/^[\w.]+$/.test(pattern)) return (module) => module === pattern || module.endsWith(`.${pattern}`);
  const repetitions = pattern.match(/[*+{]/g)?.length ?? 0;
  if (pattern.length > MAX_PATTERN_LENGTH || repetitions > MAX_REPETITIONS || /\)[*+{]/.test(pattern)) {
    throw fields.refuse(key, `an object whose keys are plain names or simple regular expressions`);
  }
  try {
    const expression = new RegExp(`^(?:.*\\.)?(?:${pattern.replace(/^\^/, '')})$`, 'u');
    return (module) => expression.test(module);
  } catch {
    throw fields.refuse(key, 'an object whose keys are regular expressions');
  }
}
