import { dynamicMap } from './eight-bit-maps.js';
import type { PlacedParameter, Segment } from './placed-parameters.js';
import { trainedRoom } from './trained-room.js';
import type { TrainingLayout } from './training-layout.js';
import type { OptimizerKind, StateTensor } from './types.js';

/** A state tensor as views of the arenas, one per segment of its parameter. */
export type PlacedState = Omit<StateTensor, 'bytes'> & { readonly parts: readonly Uint8Array[] };

/** The moments of every parameter, named as PyTorch does; in the order of the parameters. */
export function momentTensors(
  parameters: Iterable<PlacedParameter>,
  optimizer: OptimizerKind,
  arenas: readonly ArrayBufferLike[],
): PlacedState[] {
  return Array.from(parameters).flatMap(({ name, segments }) => {
    const state = (suffix: string, place: 'm' | 'v' | 'mScales' | 'vScales', dtype: 'F32' | 'U8') => {
      const parts = segments.map((segment) => partOf(segment, place, optimizer, arenas));
      const bytes = parts.reduce((sum, { length }) => sum + length, 0);
      return { name: `${name}.${suffix}`, dtype, shape: [dtype === 'F32' ? bytes / 4 : bytes], parts };
    };
    if (optimizer === 'adamw') return [state('exp_avg', 'm', 'F32'), state('exp_avg_sq', 'v', 'F32')];
    return [
      state('exp_avg', 'm', 'U8'),
      state('exp_avg_sq', 'v', 'U8'),
      state('exp_avg.absmax', 'mScales', 'F32'),
      state('exp_avg_sq.absmax', 'vScales', 'F32'),
    ];
  });
}

function partOf(
  { arena, address, elements }: Segment,
  place: 'm' | 'v' | 'mScales' | 'vScales',
  optimizer: OptimizerKind,
  arenas: readonly ArrayBufferLike[],
): Uint8Array {
  const room = trainedRoom(elements, optimizer);
  const perElement = optimizer === 'adamw' ? 4 : 1;
  const bytes = place === 'm' || place === 'v' ? elements * perElement : 4 * Math.ceil(elements / 256);
  return new Uint8Array(arenas[arena]!, address + room[place], bytes);
}

/** Makes all moments 0; floats are where memory is new. */
export function clearMoments(
  { optimizer, segments }: TrainingLayout,
  arenas: readonly ArrayBufferLike[],
): void {
  if (optimizer === 'adamw') return;
  const zero = (signed: boolean) => dynamicMap(signed).indexOf(0);
  for (const segment of segments) {
    partOf(segment, 'm', optimizer, arenas).fill(zero(true));
    partOf(segment, 'v', optimizer, arenas).fill(zero(false));
  }
}
