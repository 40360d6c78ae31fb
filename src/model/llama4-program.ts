// The program that the engine's workers run: one step is a run of tokens through the network, rows of logits, or both.
import type { CreateProgram } from '../engine/lane.js';
import { Operations } from '../engine/operations.js';
import type { ModelLayout } from './layout.js';
import { Llama4 } from './llama4.js';

export interface ProgramInit {
  readonly layout: ModelLayout;
  readonly ropeDivisors: Float32Array | undefined;
}

/** Words of a step's command: counts and position, then token ids, then rows that want logits. */
export const COMMAND = { tokens: 0, position: 1, outputs: 2, lists: 3 } as const;

export function commandWords(layout: ModelLayout): number {
  return COMMAND.lists + layout.batchSize + layout.maxOutputs;
}

export const createProgram: CreateProgram = (lane, init) => {
  const { layout, ropeDivisors } = init as ProgramInit;
  const network = new Llama4(new Operations(lane, layout.staging), layout, ropeDivisors);
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
