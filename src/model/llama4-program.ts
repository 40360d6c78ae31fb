// The program that the engine's workers run: one step is a run of tokens through the network, rows of logits, or both.
import type { CreateProgram, Lane } from '../engine/lane.js';
import { Operations } from '../engine/operations.js';
import { SlotLoader } from '../engine/slot-loader.js';
import { ExpertCache } from './expert-cache.js';
import type { ExpertCacheInit } from './expert-store.js';
import type { ModelLayout } from './layout.js';
import { Llama4 } from './llama4.js';

export interface ProgramInit {
  readonly layout: ModelLayout;
  readonly ropeDivisors: Float32Array | undefined;
  /** Present when the layout has an expert cache. */
  readonly expertCache: ExpertCacheInit | undefined;
}

/** Words of a step's command: counts and position, then token ids, then rows that want logits. */
export const COMMAND = { tokens: 0, position: 1, outputs: 2, lists: 3 } as const;

export function commandWords(layout: ModelLayout): number {
  return COMMAND.lists + layout.batchSize + layout.maxOutputs;
}

export const createProgram: CreateProgram = (lane, init) => {
  const { layout, ropeDivisors, expertCache } = init as ProgramInit;
  const operations = new Operations(lane, layout.staging);
  const network = new Llama4(operations, layout, ropeDivisors, openExpertCache(lane, layout, expertCache));
  return {
    step(command) {
      const tokens = command[COMMAND.tokens]!;
      const outputs = command[COMMAND.outputs]!;
      const { lists } = COMMAND;
      if (tokens > 0) network.forward(command.subarray(lists, lists + tokens), command[COMMAND.position]!);
      const rows = lists + layout.batchSize;
      if (outputs > 0) network.head(command.subarray(rows, rows + outputs));
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
