import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import type { LoraAdapter } from '../convert/lora/adapter.js';
import { writePeftAdapter } from '../convert/lora/write-peft.js';
import { openSafetensors, type SafetensorsInfo, writeSafetensors } from '../formats/safetensors/index.js';
import type { RecordedOptions } from './finetune-options.js';
import type { TrainableModel } from './trainable-model.js';
import type { TrainerState } from './trainer.js';
import type { StateTensor } from './types.js';

/** What a run is of: only the same goes on from a checkpoint. */
export interface RunIdentity {
  readonly options: RecordedOptions;
  /** `normChecksum` of the model. */
  readonly model: string;
  /** `TrainingData.fingerprint`. */
  readonly data: string;
}

const NAME = /^checkpoint-(\d{1,15})$/;
const PARTIAL = /^\.(checkpoint-\d+|results)\.partial(\.partial-\w+)?$/;
const STATE = 'trainer_state.json';
const TENSORS = 'training_state.safetensors';
const VALUE = 'value.';
const OPTIMIZER = 'optimizer.';

export interface Checkpoint {
  readonly path: string;
  readonly step: number;
}

/** The complete checkpoints of a folder, the newest last. */
export async function listCheckpoints(folder: string): Promise<Checkpoint[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => {
      const found = NAME.exec(name);
      return found ? [{ path: join(folder, name), step: Number(found[1]) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/** Removes what a run that was killed while it wrote has left. */
export async function removePartial(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (PARTIAL.test(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Writes `FOLDER/checkpoint-STEP`, whole or not at all: values and the optimizer's state bit for bit, and for adapters
 * what PEFT opens. Throws the codes of `fileError`, among them `disk-full`; checkpoints before stay as they are then.
 */
export async function saveCheckpoint(
  folder: string,
  model: Pick<TrainableModel, 'parameters' | 'read' | 'optimizerState'>,
  state: TrainerState,
  identity: RunIdentity,
  adapter?: LoraAdapter,
): Promise<string> {
  const path = join(folder, `checkpoint-${state.step}`);
  const partial = join(folder, `.checkpoint-${state.step}.partial`);
  await rm(partial, { recursive: true, force: true });
  try {
    if (adapter) await writePeftAdapter(partial, adapter);
    else await mkdir(partial);
    await writeTensors(join(partial, TENSORS), model);
    await writeFileAtomic(join(partial, STATE), `${JSON.stringify({ ...state, identity }, null, 2)}\n`);
    await rm(path, { recursive: true, force: true });
    await rename(partial, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw fileError(error, 'write', path);
  }
  return path;
}

async function writeTensors(
  path: string,
  model: Pick<TrainableModel, 'parameters' | 'read' | 'optimizerState'>,
): Promise<void> {
  const optimizer = new Map(
    (await model.optimizerState()).map((tensor) => [OPTIMIZER + tensor.name, tensor]),
  );
  const values = model.parameters.map(({ name, shape }): SafetensorsInfo => {
    const bytes = 4 * shape.reduce((product, n) => product * n, 1);
    return { name: VALUE + name, dtype: 'F32', shape: [...shape].reverse(), bytes };
  });
  const states = Array.from(optimizer, ([name, { dtype, shape, bytes }]): SafetensorsInfo => {
    return { name, dtype, shape, bytes: bytes.length };
  });
  await writeSafetensors(path, {
    tensors: [...values, ...states],
    write: async ({ name }) => {
      const state = optimizer.get(name);
      if (state) return state.bytes;
      const floats = await model.read(name.slice(VALUE.length), 'value');
      return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
    },
  });
}

/** Removes the oldest checkpoints beyond `limit`, but never that of step `best`. */
export async function pruneCheckpoints(folder: string, limit: number, best?: number): Promise<void> {
  const all = await listCheckpoints(folder);
  for (const { path, step } of all.slice(0, Math.max(0, all.length - limit))) {
    if (step !== best) await rm(path, { recursive: true, force: true });
  }
}

/**
 * The state of a checkpoint, if it belongs to this run. Throws `resume-mismatch` (usage) naming what differs, and
 * `bad-checkpoint` (bad-file).
 */
export async function readState({ path }: Checkpoint, identity: RunIdentity): Promise<TrainerState> {
  const file = join(path, STATE);
  let json: TrainerState & { identity: RunIdentity };
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
    const { step, position, identity: found } = json;
    const counts = [step, position.epoch, position.batch];
    if (!counts.every((n) => Number.isSafeInteger(n) && n >= 0) || typeof found.options !== 'object') throw 0;
  } catch {
    throw new CriaError('bad-file', 'bad-checkpoint', `'${file}': expected the state of a training run`);
  }
  const { identity: found, ...state } = json;
  const flags = new Set([...Object.keys(identity.options), ...Object.keys(found.options)]);
  for (const flag of flags) {
    const [now, then] = [identity.options[flag], found.options[flag]].map((value) =>
      JSON.stringify(value ?? null),
    );
    if (now !== then) throw mismatch(path, `--${flag} ${then}`, now!);
  }
  if (found.model !== identity.model) throw mismatch(path, 'another model', 'this one');
  if (found.data !== identity.data) throw mismatch(path, 'other data', 'these');
  return state;
}

function mismatch(path: string, then: string, now: string): CriaError {
  const message = `'${path}' was written with ${then}, found ${now}: --resume goes on with the same options, model and data only`;
  return new CriaError('usage', 'resume-mismatch', message);
}

/** Puts values, and the optimizer's state unless told otherwise, back into a model. Throws `bad-checkpoint`. */
export async function restoreTensors(
  { path }: Checkpoint,
  model: Pick<TrainableModel, 'parameters' | 'write' | 'restoreOptimizer'>,
  valuesOnly = false,
): Promise<void> {
  const file = await openSafetensors(join(path, TENSORS));
  try {
    for (const { name, shape } of model.parameters) {
      const found = file.tensors.get(VALUE + name);
      const floats = new Float32Array(shape.reduce((product, n) => product * n, 1));
      if (found?.dtype !== 'F32' || found.bytes !== floats.byteLength) {
        const message = `'${file.path}': expected the values of ${name}, ${floats.length} floats`;
        throw new CriaError('bad-file', 'bad-checkpoint', message);
      }
      await file.read(found.name, 0, new Uint8Array(floats.buffer));
      await model.write(name, floats);
    }
    if (valuesOnly) return;
    const states: StateTensor[] = [];
    for (const { name, dtype, shape, bytes } of file.tensors.values()) {
      if (!name.startsWith(OPTIMIZER) || (dtype !== 'F32' && dtype !== 'U8')) continue;
      const content = new Uint8Array(bytes);
      await file.read(name, 0, content);
      states.push({ name: name.slice(OPTIMIZER.length), dtype, shape, bytes: content });
    }
    await model.restoreOptimizer(states);
  } finally {
    await file.close();
  }
}
