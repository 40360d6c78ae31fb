import type { Address } from '../engine/arena-plan.js';
import type { Lane } from '../engine/lane.js';
import type { Matrix, Piece } from '../engine/matrix.js';
import type { Run } from '../engine/products.js';
import type { SlotLoader } from '../engine/slot-loader.js';
import type { ExpertCacheLayout, ExpertGroup } from './expert-cache-plan.js';
import { ExpertResidency, type SlotUse } from './expert-residency.js';
import type { LayerLayout } from './layout.js';
import type { FeedForward } from './network-layout.js';
import type { ExpertRound } from './network-operations.js';

/** What the lanes count; see `ExpertCacheStatistics`. */
export const EXPERT_COUNTS = { kept: 0, ahead: 1, read: 2, predicted: 3 } as const;

interface CachedLayer {
  readonly group: ExpertGroup;
  readonly residency: ExpertResidency;
  /** Copies whose pieces are where the experts are at the moment. */
  readonly matrices: readonly [gate: Matrix, up: Matrix, down: Matrix];
  readonly pieces: readonly (readonly Moving[])[];
}

type Moving = { -readonly [K in keyof Piece]: Piece[K] };

/**
 * A lane's view of experts that are read as needed. All lanes make the same calls; each works out by itself which
 * slots they mean, the first one hands the slots out, and all help to read.
 */
export class ExpertCache {
  readonly #lane: Lane;
  readonly #loader: SlotLoader;
  readonly #slots: readonly Address[];
  readonly #layers = new Map<number, CachedLayer>();
  readonly #counts: Float64Array;

  /** @param counts shared, indexed by `EXPERT_COUNTS` */
  constructor(
    lane: Lane,
    loader: SlotLoader,
    layout: ExpertCacheLayout,
    layers: readonly LayerLayout[],
    counts: Float64Array,
  ) {
    this.#lane = lane;
    this.#loader = loader;
    this.#slots = layout.slots;
    this.#counts = counts;
    for (const group of layout.groups) {
      const feedForward = layers[group.layer]!.feedForward as Extract<FeedForward, { kind: 'moe' }>;
      const { gateExperts, upExperts, downExperts } = feedForward;
      const [gate, gatePieces] = movable(gateExperts);
      const [up, upPieces] = movable(upExperts);
      const [down, downPieces] = movable(downExperts);
      this.#layers.set(group.layer, {
        group,
        residency: new ExpertResidency(group.slots),
        matrices: [gate, up, down],
        pieces: [gatePieces, upPieces, downPieces],
      });
    }
  }

  /**
   * Reads the experts of `runs`, some at a time, and has them computed: a round's experts stay until the next one is
   * asked for, which all lanes do after a barrier. `ahead` is read meanwhile where time allows.
   */
  *rounds(
    layer: number,
    runs: readonly Run[],
    ahead?: { readonly layer: number; readonly experts: readonly number[] },
  ): Generator<ExpertRound> {
    const cached = this.#layers.get(layer)!;
    const { residency, matrices } = cached;
    const runOf = new Map(runs.map((run) => [run.piece, run]));
    const rounds = residency.use([...runOf.keys()]).map((uses) => this.#inAllSlots(cached, uses));
    const next = ahead && this.#layers.get(ahead.layer)!;
    const predicted = next ? this.#inAllSlots(next, next.residency.readAhead(ahead.experts)) : [];
    this.#count(rounds, predicted);

    const first = [...rounds.slice(0, residency.depth).flat(), ...predicted];
    this.#handOut(first, first);
    for (const [index, uses] of rounds.entries()) {
      const slots = uses.map(({ slot }) => slot);
      this.#loader.load(slots, this.#lane.rank === 0);
      for (const { expert, slot } of uses) this.#move(cached, expert, this.#slots[slot]!);
      const [gate, up, down] = matrices;
      yield { runs: uses.map(({ expert }) => runOf.get(expert)!), gate, up, down };
      const waiting = rounds.slice(index + 1, index + 1 + residency.depth).flat();
      this.#handOut(rounds[index + residency.depth] ?? [], [...waiting, ...predicted]);
    }
  }

  /** Gives slots to those of `uses` that have to be read, and has `wanted` read in this order. */
  #handOut(uses: readonly SlotUse[], wanted: readonly SlotUse[]): void {
    const fresh = uses.filter(({ source }) => source === 'read');
    if (fresh.length === 0) return;
    if (this.#lane.rank === 0) {
      for (const { slot, expert } of fresh) this.#loader.assign(slot, expert);
      this.#loader.publish(wanted.map(({ slot }) => slot));
    }
    this.#lane.barrier();
  }

  #inAllSlots({ group }: CachedLayer, uses: readonly SlotUse[]): SlotUse[] {
    return uses.map((use) => ({ ...use, slot: group.firstSlot + use.slot }));
  }

  #move({ group, pieces }: CachedLayer, expert: number, { arena, offset }: Address): void {
    for (const [part, { at }] of group.parts.entries()) {
      const piece = pieces[part]![expert]!;
      piece.arena = arena;
      piece.offset = offset + at;
    }
  }

  #count(rounds: readonly SlotUse[][], predicted: readonly SlotUse[]): void {
    if (this.#lane.rank !== 0) return;
    for (const { source } of rounds.flat()) this.#counts[EXPERT_COUNTS[source]]! += 1;
    this.#counts[EXPERT_COUNTS.predicted]! += predicted.length;
  }
}

function movable(matrix: Matrix): [Matrix, Moving[]] {
  const pieces = matrix.pieces.map(({ rows, arena, offset }) => ({ rows, arena, offset }));
  return [{ ...matrix, pieces }, pieces];
}
