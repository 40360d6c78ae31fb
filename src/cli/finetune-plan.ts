import type { TensorInfo } from '../formats/tensor-source.js';
import { loraTargets, resolveOptions } from '../train/finetune-options.js';
import { loraParameters } from '../train/target-modules.js';
import { type PlannedTraining, trainingMemory } from '../train/training-memory.js';
import type { Trainable } from '../train/types.js';
import { FINETUNE_OPTIONS } from './finetune-options.js';
import { type OptionTable, type OptionValues, toggle } from './options.js';
import type { PlannedModel } from './planned-model.js';

const GROUP = 'Training (--finetune)';

/** What decides the memory of training, as `cria finetune` takes it. */
export const FINETUNE_PLAN_OPTIONS = {
  finetune: toggle(['--finetune'], { help: 'plan training in place of running', group: GROUP }),
  ...inGroup({
    full: FINETUNE_OPTIONS.full,
    rank: FINETUNE_OPTIONS.rank,
    targetModules: FINETUNE_OPTIONS.targetModules,
    targetParameters: FINETUNE_OPTIONS.targetParameters,
    experts: FINETUNE_OPTIONS.experts,
    trainRouter: FINETUNE_OPTIONS.trainRouter,
    method: FINETUNE_OPTIONS.method,
    optimizer: FINETUNE_OPTIONS.optimizer,
    batchSize: FINETUNE_OPTIONS.batchSize,
    gradientCheckpointing: FINETUNE_OPTIONS.gradientCheckpointing,
  }),
};

function inGroup<T extends OptionTable>(table: T): T {
  const moved = Object.entries(table).map(([name, option]) => [name, { ...option, group: GROUP }]);
  return Object.fromEntries(moved) as T;
}

export interface FinetunePlanRequest extends Omit<OptionValues<typeof FINETUNE_PLAN_OPTIONS>, 'finetune'> {
  readonly contextSize: number;
  readonly threads: number;
}

/** One way to train one size of a model. */
export interface PlannedFinetune extends PlannedTraining {
  readonly name: string;
  readonly fileBytes: number;
  readonly checkpointing: boolean;
  /** Values that learn. */
  readonly values: number;
  readonly fits: boolean;
}

/** The memory of each size of a model, with and without gradient checkpointing. Pure. */
export function planFinetune(
  { config, sizes }: PlannedModel,
  request: FinetunePlanRequest,
  ramBytes: number,
): PlannedFinetune[] {
  const { batchSize, contextSize, gradientCheckpointing, method, optimizer, threads } = request;
  // Every weight trains as a float, whatever the file holds.
  const bases = request.full ? sizes.slice(-1).map((size) => ({ ...size, name: 'F32' })) : sizes;
  return bases.flatMap(({ name, fileBytes, tensors }) =>
    (gradientCheckpointing ? [true] : [false, true]).map((checkpointing) => {
      const planned = trainingMemory(config, new Map(tensors.map((info) => [info.name, info])), {
        trainable: trainableOf(tensors, request),
        threads,
        // A pair is two rows.
        maxTokens: batchSize * contextSize * (method === 'dpo' ? 2 : 1),
        checkpointing,
        optimizer,
      });
      const values = planned.memory.parameters / Float32Array.BYTES_PER_ELEMENT;
      const fits = planned.addressable && planned.bytes <= ramBytes;
      return { name, fileBytes, checkpointing, values, fits, ...planned };
    }),
  );
}

function trainableOf(tensors: readonly TensorInfo[], request: FinetunePlanRequest): Trainable {
  const { targetModules, ...rest } = request;
  const modules = targetModules.length > 0 ? targetModules : undefined;
  const options = resolveOptions({ ...rest, targetModules: modules, model: '', output: '', data: [] });
  return options.full
    ? { kind: 'full' }
    : { kind: 'lora', parameters: loraParameters(tensors, loraTargets(options)), dropout: 0 };
}

/** The one with most bits that fits, faster before smaller: without checkpointing where that fits too. */
export function bestFinetune(plans: readonly PlannedFinetune[]): PlannedFinetune | undefined {
  return plans
    .filter(({ fits }) => fits)
    .toSorted((a, b) => b.fileBytes - a.fileBytes || Number(a.checkpointing) - Number(b.checkpointing))[0];
}
