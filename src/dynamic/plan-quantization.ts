import { formatBytes } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { elementCount, rowCount, type TensorInfo } from '../formats/tensor-source.js';
import { AllocationFrontier, type AllocationItem, type Choice } from './allocate.js';
import {
  bitsOfType,
  type CandidateOptions,
  candidatesFor,
  type Floor,
  type TensorRole,
} from './candidates.js';
import type { Measurements } from './measurements.js';
import { sensitivityOf } from './sensitivity.js';
import { type TypePlan, typeForRows } from './type-plan.js';

/** How large the model may become: all its bytes, or bits for each of its weights (headers not counted). */
export type SizeTarget = { readonly bytes: number } | { readonly bitsPerWeight: number };

/** What a tensor got, and why. */
export interface TensorDecision {
  readonly name: string;
  readonly role: TensorRole;
  readonly type: GgmlType;
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Divergence, in nats, per unit of relative error. */
  readonly sensitivity: number;
  /** Importance-weighted relative error of the type. */
  readonly error: number;
  /** Predicted divergence: sensitivity × error. */
  readonly damage: number;
  readonly floor: Floor;
  /** `fixed` by the user, at its `floor`, or `chosen` freely. */
  readonly reason: 'fixed' | 'floor' | 'chosen';
}

export interface QuantizationPlan {
  readonly types: TypePlan;
  readonly decisions: readonly TensorDecision[];
  /** Predicted mean divergence, in nats: the sum of all damages. */
  readonly predictedKld: number;
  /** Size as `fileBytes` gives it, or of the tensors alone for a target in bits per weight. */
  readonly bytes: number;
}

export interface PlanQuantizationOptions {
  readonly measurements: Measurements;
  readonly candidates?: CandidateOptions;
  /** Types the user asked for, by tensor; they win over floors. */
  readonly fixed?: TypePlan;
  /** Exact size of the output with these types, headers included. Needed for a target in bytes. */
  readonly fileBytes: (plan: TypePlan) => number;
}

/**
 * Chooses the type of every weight matrix so that the predicted divergence is least within the target. Throws
 * `budget-too-small` (usage), naming the smallest possible size, and `bad-target` (usage) for sizes that are not
 * positive.
 */
export function planQuantization(
  tensors: readonly TensorInfo[],
  target: SizeTarget,
  options: PlanQuantizationOptions,
): QuantizationPlan {
  return new QuantizationPlanner(tensors, options).plan(target);
}

/** As `planQuantization`, for several targets: the allocation is solved once for all of them. */
export class QuantizationPlanner {
  readonly #tensors: readonly TensorInfo[];
  readonly #options: PlanQuantizationOptions;
  readonly #frontier: AllocationFrontier;

  constructor(tensors: readonly TensorInfo[], options: PlanQuantizationOptions) {
    this.#tensors = tensors;
    this.#options = options;
    this.#frontier = new AllocationFrontier(tensors.flatMap((tensor) => allocationItem(tensor, options)));
  }

  plan(target: SizeTarget): QuantizationPlan {
    const size = 'bytes' in target ? target.bytes : target.bitsPerWeight;
    if (!(size > 0 && size < Infinity)) {
      throw new CriaError('usage', 'bad-target', `a target size must be a positive number, found ${size}`);
    }
    return 'bytes' in target ? this.#withinFile(target.bytes) : this.#withinTensors(target.bitsPerWeight);
  }

  #withinTensors(bitsPerWeight: number): QuantizationPlan {
    const weights = this.#tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const bytes = Math.floor((bitsPerWeight * weights) / 8);
    const kept = this.#keptBytes();
    if (bytes < kept + this.#frontier.smallest) {
      const smallest = ((kept + this.#frontier.smallest) * 8) / weights;
      throw tooSmall(`${bitsPerWeight} bits per weight`, `${smallest.toFixed(3)} bits per weight`);
    }
    return this.#decide(bytes - kept, (types) => this.#tensorBytes(types));
  }

  #withinFile(bytes: number): QuantizationPlan {
    const { fileBytes } = this.#options;
    // Headers may vary with the plan by some bytes, so what they leave is found by looking.
    const smallest = this.#decide(this.#frontier.smallest, fileBytes);
    if (bytes < smallest.bytes) {
      throw tooSmall(
        `${bytes} bytes (${formatBytes(bytes)})`,
        `${smallest.bytes} bytes (${formatBytes(smallest.bytes)})`,
      );
    }
    let budget = bytes - (smallest.bytes - this.#frontier.smallest);
    for (;;) {
      const plan = this.#decide(Math.max(budget, this.#frontier.smallest), fileBytes);
      if (plan.bytes <= bytes) return plan;
      budget -= plan.bytes - bytes;
    }
  }

  #decide(budget: number, size: (types: TypePlan) => number): QuantizationPlan {
    const { choices, damage } = this.#frontier.at(budget);
    const types = new Map<string, GgmlType>();
    const decisions: TensorDecision[] = [];
    for (const tensor of this.#tensors) {
      const choice = choices.get(tensor.name);
      if (choice === undefined) continue;
      types.set(tensor.name, choice.type);
      decisions.push(this.#explain(tensor, choice));
    }
    return { types, decisions, predictedKld: damage, bytes: size(types) };
  }

  #explain(tensor: TensorInfo, { type, bytes, damage }: Choice): TensorDecision {
    const { measurements, candidates, fixed } = this.#options;
    const { role, floor, types } = candidatesFor(tensor, candidates);
    const measured = measurements.get(tensor.name);
    const atFloor = floor !== 'none' && bitsOfType(type) <= bitsOfType(types[0]!);
    return {
      name: tensor.name,
      role,
      type,
      bytes,
      bitsPerWeight: bitsOfType(type),
      sensitivity: measured ? sensitivityOf(measured.perturbations) : 0,
      error: measured?.errors.get(type) ?? 0,
      damage,
      floor,
      reason: fixed?.has(tensor.name) ? 'fixed' : atFloor ? 'floor' : 'chosen',
    };
  }

  /** Bytes of what the allocation does not decide. */
  #keptBytes(): number {
    const decided = this.#frontier.at(this.#frontier.smallest).choices;
    return this.#tensors.reduce((sum, { name, bytes }) => sum + (decided.has(name) ? 0 : bytes), 0);
  }

  #tensorBytes(types: TypePlan): number {
    return this.#tensors.reduce((sum, tensor) => {
      const type = types.get(tensor.name);
      return sum + (type === undefined ? tensor.bytes : bytesAs(tensor, type));
    }, 0);
  }
}

function allocationItem(tensor: TensorInfo, options: PlanQuantizationOptions): AllocationItem[] {
  const fixed = options.fixed?.get(tensor.name);
  const types =
    fixed === undefined
      ? candidatesFor(tensor, options.candidates).types
      : [typeForRows(fixed, tensor.shape[0]!)];
  if (types.length === 0) return [];
  const measured = options.measurements.get(tensor.name);
  if (measured === undefined && fixed === undefined) {
    throw new CriaError(
      'internal',
      'not-measured',
      `'${tensor.name}' has candidate types but no measurements`,
    );
  }
  const sensitivity = measured ? sensitivityOf(measured.perturbations) : 0;
  const choices = types.map((type) => ({
    type,
    bytes: bytesAs(tensor, type),
    damage: sensitivity * (measured?.errors.get(type) ?? 0),
  }));
  return [{ name: tensor.name, choices }];
}

function bytesAs({ shape }: TensorInfo, type: GgmlType): number {
  return rowCount(shape) * rowBytes(type, shape[0]!);
}

function tooSmall(wanted: string, smallest: string): CriaError {
  return new CriaError(
    'usage',
    'budget-too-small',
    `the model cannot be made as small as ${wanted}: the smallest its floors allow is ${smallest}`,
  );
}
