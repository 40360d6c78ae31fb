import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import type { Address } from '../engine/arena-plan.js';
import type { Buffer } from '../engine/buffers.js';
import type { Matrix } from '../engine/matrix.js';
import type { LayoutBuilder } from './layout-builder.js';

/** The slots of one layer's experts. Structured-cloneable, as all of the layout. */
export interface ExpertGroup {
  readonly layer: number;
  readonly firstSlot: number;
  readonly slots: number;
  /** What one expert consists of: a piece of each expert matrix, `bytes` long, at `at` in a slot. */
  readonly parts: readonly { readonly name: string; readonly bytes: number; readonly at: number }[];
}

/** Where routed experts go that are read from the file as they are needed. */
export interface ExpertCacheLayout {
  readonly experts: number;
  readonly slots: readonly Address[];
  /** In layer order. */
  readonly groups: readonly ExpertGroup[];
  /** Router logits [tokens][experts] that the next layer's read-ahead is chosen by; absent without read-ahead. */
  readonly predictedLogits?: Buffer;
}

/** Room for routed experts, and whether they are read before it is certain that they are needed. */
export interface ExpertCacheRequest {
  readonly bytes: number;
  readonly readAhead: boolean;
}

/** The expert matrices of one layer. */
export interface ExpertLayer {
  readonly layer: number;
  readonly matrices: readonly Matrix[];
}

/** Parts of a slot begin on cache lines. */
const ALIGNMENT = 64;

/**
 * Divides the room into slots, as many for each layer, and asks `builder` for their room. Throws
 * `expert-cache-too-small` (usage) when a layer would get none.
 */
export function planExpertCache(
  layers: readonly ExpertLayer[],
  { expertCount: experts }: Pick<Llama4Config, 'expertCount'>,
  { bytes: budget, readAhead }: ExpertCacheRequest,
  batchSize: number,
  builder: LayoutBuilder,
): { readonly layout: ExpertCacheLayout; readonly bytes: number } {
  const shapes = layers.map(({ layer, matrices }) => ({ layer, ...slotShape(matrices) }));
  const oneOfEach = shapes.reduce((sum, { bytes }) => sum + bytes, 0);
  if (oneOfEach === 0) throw new CriaError('unsupported', 'no-experts', 'the model has no experts to cache');
  if (budget < oneOfEach) {
    throw new CriaError(
      'usage',
      'expert-cache-too-small',
      `an expert cache of ${budget} bytes is too small: one expert for each of ${shapes.length} layers takes ${oneOfEach}`,
    );
  }
  const each = Math.min(experts, Math.floor(budget / oneOfEach));
  let bytes = each * oneOfEach;
  const slots: Address[] = [];
  const groups = shapes.map(({ layer, parts, bytes: slotBytes }): ExpertGroup => {
    // What is left over buys the first layers one more.
    const more = each < experts && bytes + slotBytes <= budget ? 1 : 0;
    bytes += more * slotBytes;
    const firstSlot = slots.length;
    slots.push(...builder.pieces(slotBytes, new Array<number>(each + more).fill(1)));
    return { layer, firstSlot, slots: each + more, parts };
  });
  const predictedLogits = readAhead ? builder.buffer(batchSize, experts) : undefined;
  return { layout: { experts, slots, groups, predictedLogits }, bytes };
}

function slotShape(matrices: readonly Matrix[]): { parts: ExpertGroup['parts']; bytes: number } {
  let end = 0;
  const parts = matrices.map(({ name, rowBytes, pieces }) => {
    const part = { name, bytes: rowBytes * pieces[0]!.rows, at: end };
    end = Math.ceil((end + part.bytes) / ALIGNMENT) * ALIGNMENT;
    return part;
  });
  return { parts, bytes: end };
}
