// The program that the workers of a vision tower run: one step takes tiles from patches to rows.
import type { CreateProgram } from '../../engine/lane.js';
import { Operations } from '../../engine/operations.js';
import type { VisionLayout } from './vision-layout.js';
import { VisionTower } from './vision-tower.js';

/** Words of a step's command: the number of tiles. */
export const COMMAND_WORDS = 1;

export const createProgram: CreateProgram = (lane, init) => {
  const layout = init as VisionLayout;
  const tower = new VisionTower(new Operations(lane, layout.staging), layout);
  return { step: (command) => tower.forward(command[0]!) };
};
