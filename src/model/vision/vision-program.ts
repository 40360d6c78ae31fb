// The program that the workers of a vision tower run: a step takes tiles through one stage of the tower.
import type { CreateProgram } from '../../engine/lane.js';
import { Operations } from '../../engine/operations.js';
import type { VisionLayout } from './vision-layout.js';
import { VisionTower } from './vision-tower.js';

/** Words of a step's command. */
export const COMMAND = { tiles: 0, stage: 1, words: 2 } as const;

/** Stages of a tower: see VisionTower.forward. */
export function stageCount({ layers }: VisionLayout): number {
  return layers.length + 2;
}

export const createProgram: CreateProgram = (lane, init) => {
  const layout = init as VisionLayout;
  const tower = new VisionTower(new Operations(lane, layout.staging), layout);
  return { step: (command) => tower.forward(command[COMMAND.tiles]!, command[COMMAND.stage]!) };
};
