import type { GgmlType } from '../../formats/ggml-types.js';
import type { Imatrix } from '../../formats/imatrix/index.js';
import type { TensorInfo } from '../../formats/tensor-source.js';
import { bitsOfType, candidatesFor, type Floor } from '../candidates.js';
import { isQuantizable } from '../type-plan.js';

/** Why a tensor may not have the smallest types, and the smallest it may have. */
export interface TensorFloor {
  readonly floor: Exclude<Floor, 'none'>;
  readonly smallest: GgmlType;
}

/** Where a tensor is, seen from its floor; `free` without one. */
export type FloorPosition = 'free' | 'above' | 'at' | 'below';

/** The floor of a tensor of the original. Without an importance matrix nothing is known of calibration. */
export function floorOfTensor(tensor: TensorInfo, imatrix: Imatrix | undefined): TensorFloor | undefined {
  if (!isQuantizable(tensor)) return undefined;
  const { floor, types } = candidatesFor(tensor, { imatrix });
  if (floor === 'none' || types.length === 0) return undefined;
  if (floor === 'no-importance' && imatrix === undefined) return undefined;
  return { floor, smallest: types[0]! };
}

export function floorPosition(type: GgmlType, floor: TensorFloor | undefined): FloorPosition {
  if (floor === undefined) return 'free';
  const difference = bitsOfType(type) - bitsOfType(floor.smallest);
  return difference === 0 ? 'at' : difference > 0 ? 'above' : 'below';
}
