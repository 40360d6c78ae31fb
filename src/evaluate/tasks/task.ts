import type { Game } from './sandbox/game.js';

/** Something a right program does. */
export interface Check {
  /** As it is reported: `the bird falls without input`. */
  readonly name: string;
  readonly points: number;
}

/** A check of a task that comes with Cria. Throws what `game.assert` throws. */
export interface BuiltInCheck extends Check {
  run(game: Game): void;
}

/** A check out of a user's file, which runs in a sandbox as the program does. */
export interface FileCheck extends Check {
  /** JavaScript that throws when something is wrong. */
  readonly code: string;
}

export interface TaskLimits {
  /** For all checks of one program together. */
  readonly seconds: number;
  /** Memory of one running program. */
  readonly memoryBytes: number;
}

export interface Task {
  /** Lower-case letters, digits and dashes: names files. */
  readonly name: string;
  /** What is asked for. */
  readonly prompt: string;
  /** Of the canvas, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly limits: TaskLimits;
  readonly checks: readonly (BuiltInCheck | FileCheck)[];
}

export const DEFAULT_LIMITS: TaskLimits = { seconds: 60, memoryBytes: 128 * 2 ** 20 };

export const DEFAULT_CANVAS = { width: 480, height: 640 };

export interface CheckResult extends Check {
  readonly passed: boolean;
  /** Why not. */
  readonly message?: string;
}
