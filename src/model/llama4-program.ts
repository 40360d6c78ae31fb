// The program that the engine's workers run: one step is tokens through the network, rows of logits, or both.
import type { CreateProgram, Lane } from '../engine/lane.js';
import { Operations } from '../engine/operations.js';
import { PACK_WORDS, packShare } from '../engine/packing.js';
import { SlotLoader } from '../engine/slot-loader.js';
import { ExpertCache } from './expert-cache.js';
import type { ExpertCacheInit } from './expert-store.js';
import { InferenceOperations } from './inference-operations.js';
import type { ModelLayout } from './layout.js';
import { Llama4 } from './llama4.js';
import type { StepTokens } from './network-operations.js';

export interface ProgramInit {
  readonly layout: ModelLayout;
  readonly ropeDivisors: Float32Array | undefined;
  /** Present when the layout has an expert cache. */
  readonly expertCache: ExpertCacheInit | undefined;
}

/** Words of a step's command: counts, then the lists of `commandLists`. */
export const COMMAND = { tokens: 0, outputs: 1, lists: 2 } as const;

/** In place of the number of tokens: a command that packs weights, whose job begins at the next word. */
export const PACK = -1;

export function commandWords(layout: ModelLayout): number {
  return Math.max(1 + PACK_WORDS, COMMAND.lists + 3 * layout.batchSize + layout.maxOutputs);
}

/** Views of a command's lists: the step's tokens, and which of them want logits. */
export function commandLists(
  command: Int32Array,
  { batchSize, maxOutputs }: ModelLayout,
): StepTokens & { readonly rows: Int32Array } {
  const list = (index: number, length: number) => {
    const start = COMMAND.lists + index * batchSize;
    return command.subarray(start, start + length);
  };
  const tokens = command[COMMAND.tokens]!;
  return {
    ids: list(0, tokens),
    sequences: list(1, tokens),
    positions: list(2, tokens),
    rows: list(3, Math.min(maxOutputs, command[COMMAND.outputs]!)),
  };
}

export const createProgram: CreateProgram = (lane, init) => {
  const { layout, ropeDivisors, expertCache } = init as ProgramInit;
  const operations = new Operations(lane, layout.staging);
  const cache = openExpertCache(lane, layout, expertCache);
  const network = new Llama4(new InferenceOperations(operations, layout, cache), layout, ropeDivisors);
  return {
    step(command) {
      if (command[COMMAND.tokens] === PACK) return packShare(lane, command.subarray(1));
      const { rows, ...tokens } = commandLists(command, layout);
      if (tokens.ids.length > 0) network.forward(tokens);
      if (rows.length > 0) network.head(rows);
    },
  };
};

function openExpertCache(
  lane: Lane,
  { expertCache, layers }: ModelLayout,
  init: ExpertCacheInit | undefined,
): ExpertCache | undefined {
  if (expertCache === undefined || init === undefined) return undefined;
  const memories = lane.arenas.map(({ u8 }) => u8);
  return new ExpertCache(lane, new SlotLoader(init.loader, memories), expertCache, layers, init.counts);
}
