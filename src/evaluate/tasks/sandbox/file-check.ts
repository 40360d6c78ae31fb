import { CheckFailure, type Game, ProgramError } from './game.js';
import { Machine } from './machine.js';

/** What code of a check sees: the methods of `Game`, as functions. */
const LIBRARY = `
const call = globalThis.__call;
delete globalThis.__call;
const ask = (method, ...args) => JSON.parse(call(JSON.stringify([method, args]))).value;
const text = (value) => typeof value === 'string' ? value : JSON.stringify(value);
globalThis.game = Object.freeze({
  restart: (seed) => ask('restart', seed),
  frames: (count = 1, visit) => {
    if (visit === undefined) return ask('frames', count);
    for (let i = 0; i < count; i++) {
      ask('frames', 1);
      if (visit(ask('screen'), i) === true) return;
    }
  },
  keyDown: (key) => ask('keyDown', key),
  keyUp: (key) => ask('keyUp', key),
  press: (key) => ask('press', key),
  click: (x, y) => ask('click', x, y),
  screen: () => ask('screen'),
  output: () => ask('output'),
  value: (expression) => ask('value', expression),
});
globalThis.assert = (condition, message = 'an assertion failed') => {
  if (!condition) { const error = new Error(String(message)); error.name = 'CheckFailure'; throw error; }
};
globalThis.equal = (found, expected, what = 'value') => {
  const [a, b] = [text(found), text(expected)];
  assert(a === b, what + ': expected ' + b + ', found ' + a);
};
`;

const METHODS = [
  'restart',
  'frames',
  'keyDown',
  'keyUp',
  'press',
  'click',
  'screen',
  'output',
  'value',
] as const;
const MEMORY_BYTES = 64 * 2 ** 20;
const MOST_FRAMES = 100_000;

/** Runs a check out of a file against `game`. Throws `ProgramError`, and `CheckFailure` with what the check says. */
export async function runFileCheck(code: string, game: Game, deadline: number): Promise<void> {
  const machine = await Machine.create(MEMORY_BYTES, deadline);
  const realm = machine.createRealm();
  let programError: ProgramError | undefined;
  realm.define('__call', (request) => {
    const [method, args] = JSON.parse(request) as [(typeof METHODS)[number], unknown[]];
    if (!METHODS.includes(method)) throw new TypeError(`game has no method '${method}'`);
    if (method === 'frames' && !(Number(args[0]) <= MOST_FRAMES)) {
      throw new RangeError(`frames: expected a number up to ${MOST_FRAMES}, found ${args[0]}`);
    }
    try {
      const run = game[method] as (...args: unknown[]) => unknown;
      return JSON.stringify({
        value: run.apply(
          game,
          args.map((value) => value ?? undefined),
        ),
      });
    } catch (error) {
      if (error instanceof ProgramError) programError = error;
      throw error;
    }
  });
  const library = realm.run(LIBRARY, 'library');
  if (!library.ok) throw new CheckFailure(`the check could not start: ${library.error.message}`);
  // A line of its own keeps a comment at the end of the code from swallowing the bracket.
  const outcome = realm.run(`(function () { 'use strict'; ${code}\n})();`, 'check');
  // Whatever the check made of it: a program that throws is not right.
  if (programError) throw programError;
  if (outcome.ok) return;
  const { name, message } = outcome.error;
  throw new CheckFailure(name === 'CheckFailure' ? message : `${name}: ${message} (in the check itself)`);
}
