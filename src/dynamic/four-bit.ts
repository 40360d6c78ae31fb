import { CriaError } from '../base/errors.js';
import type { ImatrixEntry } from '../formats/imatrix/index.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { type FourBitType, roundToFourBit } from '../quant/bitsandbytes-four-bit.js';
import { type AllocationItem, allocate } from './allocate.js';
import type { Measurements } from './measurements.js';
import { sensitivityOf } from './sensitivity.js';
import { readSamples, sampledRows, weightedError } from './tensor-errors.js';

/** Weights of a tensor whose rounding is measured, about. */
const SAMPLE_WEIGHTS = 2 ** 18;

/** How much larger than a checkpoint of 4 bits throughout the default is. */
export const DEFAULT_GROWTH = 1.1;

/**
 * Importance-weighted relative error of rounding each tensor to bitsandbytes' 4 bits, scales in 32 bits, on rows
 * spread evenly over it.
 */
export async function fourBitErrors(
  source: TensorSource,
  tensors: readonly TensorInfo[],
  type: FourBitType,
  importance?: ReadonlyMap<string, ImatrixEntry>,
): Promise<Map<string, number>> {
  const errors = new Map<string, number>();
  for (const tensor of tensors) {
    const [columns, rows, matrices = 1] = tensor.shape as [number, number, number?];
    const wanted = sampledRows(tensor.name, rows, matrices, Math.ceil(SAMPLE_WEIGHTS / columns));
    const entry = importance?.get(tensor.name);
    let error = 0;
    let norm = 0;
    for (const { matrix, values } of await readSamples(source, tensor, wanted)) {
      const rounded = new Float32Array(values.length);
      roundToFourBit(type, values, rounded);
      const part = weightedError(values, rounded, columns, entry, matrix);
      error += part.error;
      norm += part.norm;
    }
    errors.set(tensor.name, norm > 0 ? error / norm : 0);
  }
  return errors;
}

/** A tensor of linear layers that may be in 4 bits or stay as it is. */
export interface FourBitItem {
  readonly name: string;
  /** Bytes in 4 bits, scales included. */
  readonly roundedBytes: number;
  /** Bytes in 16 bits. */
  readonly keptBytes: number;
}

export interface FourBitDecision extends FourBitItem {
  /** Divergence, in nats, per unit of relative error. */
  readonly sensitivity: number;
  /** Relative error in 4 bits. */
  readonly error: number;
  /** Predicted divergence in 4 bits: sensitivity × error. */
  readonly damage: number;
  readonly kept: boolean;
}

export interface FourBitPlan {
  /** Tensors that stay in 16 bits. */
  readonly kept: ReadonlySet<string>;
  readonly decisions: readonly FourBitDecision[];
  /** Predicted mean divergence in nats with everything in 4 bits, and by this plan. */
  readonly plainKld: number;
  readonly predictedKld: number;
}

/**
 * Chooses which tensors stay in 16 bits so that the predicted divergence is least while `bytes`, of all the items, are
 * not exceeded. Throws `budget-too-small` (usage) where not even 4 bits throughout fit.
 */
export function planFourBit(
  items: readonly FourBitItem[],
  measurements: Measurements,
  errors: ReadonlyMap<string, number>,
  bytes: number,
): FourBitPlan {
  const measured = items.map((item) => {
    const measurement = measurements.get(item.name);
    const error = errors.get(item.name);
    if (measurement === undefined || error === undefined) {
      throw new CriaError('internal', 'not-measured', `'${item.name}' has not been measured`);
    }
    const sensitivity = sensitivityOf(measurement.perturbations);
    return { ...item, sensitivity, error, damage: sensitivity * error };
  });
  const choices = measured.map(
    ({ name, roundedBytes, keptBytes, damage }): AllocationItem<'rounded' | 'kept'> => ({
      name,
      choices: [
        { type: 'rounded', bytes: roundedBytes, damage },
        { type: 'kept', bytes: keptBytes, damage: 0 },
      ],
    }),
  );
  const allocation = allocate(choices, bytes);
  const decisions = measured.map((item) => ({
    ...item,
    kept: allocation.choices.get(item.name)!.type === 'kept',
  }));
  return {
    kept: new Set(decisions.flatMap(({ name, kept }) => (kept ? [name] : []))),
    decisions,
    plainKld: measured.reduce((sum, { damage }) => sum + damage, 0),
    predictedKld: allocation.damage,
  };
}
