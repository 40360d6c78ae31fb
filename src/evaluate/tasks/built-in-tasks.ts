import { FLAPPY_BIRD } from './games/flappy-bird.js';
import { GAME_2048 } from './games/game-2048.js';
import { heptagonTask } from './games/heptagon.js';
import type { Task } from './task.js';

export const BUILT_IN_TASKS: readonly Task[] = [
  FLAPPY_BIRD,
  heptagonTask('heptagon', 20),
  heptagonTask('heptagon-ball', 1),
  GAME_2048,
];
