import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { writeFileAtomic } from '../base/atomic-file.js';
import type { GgmlType } from '../formats/ggml-types.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { Llama4Runtime } from '../model/llama4-runtime.js';
import { type CandidateOptions, candidatesFor } from './candidates.js';
import { DivergenceProbe } from './divergence-probe.js';
import { EncodePool } from './encode-pool.js';
import { entriesOfModel } from './imatrix-of-model.js';
import { filesIdentity, inputFiles } from './input-files.js';
import { type Perturbation, PROBE_TYPES, perturbTensor } from './sensitivity.js';
import { tensorErrors } from './tensor-errors.js';

/** What is known of one tensor, whatever size the model is to have. */
export interface TensorMeasurement {
  /** Importance-weighted relative error of each type, on sampled rows. */
  readonly errors: ReadonlyMap<GgmlType, number>;
  readonly perturbations: readonly Perturbation[];
}

export type Measurements = ReadonlyMap<string, TensorMeasurement>;

export interface MeasureOptions {
  readonly imatrix?: Imatrix;
  /** Tokens of calibration text, BOS first; evaluation text must not be used here. */
  readonly ids: readonly number[];
  readonly bosId?: number;
  /** Where results are kept from one call to the next, `FILE.sensitivity.json`; nowhere when absent. */
  readonly cachePath?: string;
  readonly threads: number;
  /** Predictions compared for each perturbation; see DivergenceProbe. */
  readonly positions?: number;
  readonly candidates?: CandidateOptions;
  /** Tensors to measure, by name; all that may be quantized when absent. */
  readonly only?: ReadonlySet<string>;
  /** Called with the tensors done so far. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Tokens of a window of calibration text. */
export const MEASURE_CONTEXT = 512;
const POSITIONS = 1536;

/**
 * Measures every tensor that may be quantized: the error of each type it may have, and how the model's predictions
 * answer to two of them. What the cache has of the same model, importances and text is not measured again, and a run
 * that was stopped goes on where it was; the model is loaded only when something is missing.
 */
export async function measureModel(source: TensorSource, options: MeasureOptions): Promise<Measurements> {
  const { imatrix, threads, signal, cachePath } = options;
  const importance = imatrix && entriesOfModel(imatrix, source.tensors.values());
  const cache = new MeasurementCache(cachePath, await fingerprint(source, options));
  await cache.load();
  const work = [...source.tensors.values()].flatMap((tensor) => {
    if (options.only && !options.only.has(tensor.name)) return [];
    const { types } = candidatesFor(tensor, { ...options.candidates, imatrix });
    return types.length > 0 ? [{ tensor, types }] : [];
  });
  let pool: EncodePool | undefined;
  let predictions: { runtime: Llama4Runtime; probe: DivergenceProbe } | undefined;
  try {
    for (const [done, { tensor, types }] of work.entries()) {
      options.onProgress?.(done, work.length);
      const known = cache.get(tensor.name);
      const missing = types.filter((type) => !known.errors.has(type));
      const perturbed = known.perturbations.length > 0;
      if (missing.length === 0 && perturbed) continue;
      pool ??= new EncodePool(threads);
      const measuring = { importance, recoder: pool, signal };
      const errors = await tensorErrors(source, tensor, missing, measuring);
      let { perturbations } = known;
      if (!perturbed) {
        predictions ??= await loadProbe(source, options);
        const { runtime, probe } = predictions;
        perturbations = await perturbTensor(runtime, source, probe, tensor, measuring);
      }
      cache.set(tensor.name, { errors: new Map([...known.errors, ...errors]), perturbations });
      await cache.save();
    }
  } finally {
    await pool?.close();
    await predictions?.runtime.close();
  }
  options.onProgress?.(work.length, work.length);
  return new Map(work.map(({ tensor }) => [tensor.name, cache.get(tensor.name)]));
}

async function loadProbe(
  source: TensorSource,
  { ids, bosId, threads, signal, positions = POSITIONS }: MeasureOptions,
): Promise<{ runtime: Llama4Runtime; probe: DivergenceProbe }> {
  const runtime = await Llama4Runtime.load(source, {
    threads,
    contextSize: MEASURE_CONTEXT,
    repack: 'off',
    signal,
  });
  try {
    const probe = await DivergenceProbe.create(runtime, ids, {
      contextSize: MEASURE_CONTEXT,
      positions,
      bosId,
      signal,
    });
    return { runtime, probe };
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

/** Of all that the measurements depend on, the version of the encoders included. */
async function fingerprint(source: TensorSource, options: MeasureOptions): Promise<string> {
  const hash = createHash('sha256');
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  const settings = [version, MEASURE_CONTEXT, options.positions ?? POSITIONS, ...PROBE_TYPES];
  hash.update(`${settings.join(' ')}\n${await filesIdentity(await inputFiles(source))}\n`);
  hash.update(Int32Array.from(options.ids));
  for (const [name, { sums, counts }] of options.imatrix?.entries ?? []) {
    hash.update(`${name}\n`).update(sums).update(Float64Array.from(counts));
  }
  return hash.digest('hex');
}

interface StoredMeasurement {
  readonly errors: Readonly<Record<string, number>>;
  readonly perturbations: readonly Perturbation[];
}

const NOTHING: TensorMeasurement = { errors: new Map(), perturbations: [] };

/** Measurements of one model in a JSON file. A file of another model, or a damaged one, counts as none. */
class MeasurementCache {
  readonly #path: string | undefined;
  readonly #fingerprint: string;
  readonly #tensors = new Map<string, TensorMeasurement>();
  #changed = false;

  constructor(path: string | undefined, fingerprint: string) {
    this.#path = path;
    this.#fingerprint = fingerprint;
  }

  async load(): Promise<void> {
    if (this.#path === undefined) return;
    try {
      const { fingerprint, tensors } = JSON.parse(await readFile(this.#path, 'utf8')) as {
        fingerprint: unknown;
        tensors: Record<string, StoredMeasurement>;
      };
      if (fingerprint !== this.#fingerprint) return;
      for (const [name, { errors, perturbations }] of Object.entries(tensors)) {
        this.#tensors.set(name, {
          errors: new Map(Object.entries(errors) as [GgmlType, number][]),
          perturbations,
        });
      }
    } catch {
      this.#tensors.clear();
    }
  }

  get(name: string): TensorMeasurement {
    return this.#tensors.get(name) ?? NOTHING;
  }

  set(name: string, measurement: TensorMeasurement): void {
    this.#tensors.set(name, measurement);
    this.#changed = true;
  }

  async save(): Promise<void> {
    if (this.#path === undefined || !this.#changed) return;
    const tensors = Object.fromEntries(
      Array.from(this.#tensors, ([name, { errors, perturbations }]) => [
        name,
        { errors: Object.fromEntries(errors), perturbations },
      ]),
    );
    await writeFileAtomic(
      this.#path,
      `${JSON.stringify({ fingerprint: this.#fingerprint, tensors }, null, 1)}\n`,
    );
    this.#changed = false;
  }
}
