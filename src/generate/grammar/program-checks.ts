import { grammarError } from './expression.js';
import { CALL, END, FAIL, type Program, SPLIT } from './program.js';

/** Which steps can be followed to the end of their rule; with `empty`, without taking anything. */
function reachesEnd(program: Program, empty: boolean): Uint8Array {
  const { kinds, next, other } = program;
  const reached = new Uint8Array(kinds.length);
  const dependents = Array.from(kinds, (): number[] => []);
  const pending: number[] = [];
  const holds = (step: number): boolean => {
    const kind = kinds[step];
    if (kind === END) return true;
    if (kind === FAIL) return false;
    if (kind === SPLIT) return reached[next[step]!] === 1 || reached[other[step]!] === 1;
    if (kind === CALL) return reached[next[step]!] === 1 && reached[other[step]!] === 1;
    return !empty && reached[next[step]!] === 1;
  };
  for (let step = 0; step < kinds.length; step++) {
    if (kinds[step] === END) pending.push(step);
    else dependents[next[step]!]!.push(step);
    if (kinds[step] === SPLIT || kinds[step] === CALL) dependents[other[step]!]!.push(step);
  }
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    if (reached[step] === 1 || !holds(step)) continue;
    reached[step] = 1;
    for (const dependent of dependents[step]!) pending.push(dependent);
  }
  return reached;
}

/**
 * Which steps lead to a text at all; the others are not to be followed, so that no text gets stuck. Throws kind
 * `usage`: `grammar-matches-nothing`, `grammar-left-recursion`.
 */
export function checkProgram(program: Program): Uint8Array {
  const live = reachesEnd(program, false);
  if (live[program.start] === 0) {
    throw grammarError(
      'grammar-matches-nothing',
      "expected a rule 'root' that some text matches, found none",
    );
  }
  refuseLeftRecursion(program, live);
  return live;
}

/** A rule that begins with itself would be called without end before anything is matched. */
function refuseLeftRecursion(program: Program, live: Uint8Array): void {
  const empty = reachesEnd(program, true);
  const byStart = new Map<number, number>();
  for (const [index, { start }] of program.rules.entries()) byStart.set(start, index);
  const callees = program.rules.map(({ start }) =>
    calledFirst(program, start, live, empty).map((callee) => byStart.get(callee)!),
  );
  const OPEN = 1;
  const DONE = 2;
  const states = new Uint8Array(program.rules.length);
  for (const first of program.rules.keys()) {
    const path: { rule: number; at: number }[] = states[first] === 0 ? [{ rule: first, at: 0 }] : [];
    while (path.length > 0) {
      const top = path.at(-1)!;
      states[top.rule] = OPEN;
      const callee = callees[top.rule]![top.at++];
      if (callee === undefined) {
        states[top.rule] = DONE;
        path.pop();
      } else if (states[callee] === OPEN) {
        const { name } = program.rules[callee]!;
        throw grammarError('grammar-left-recursion', `expected rule '${name}' not to begin with itself`);
      } else if (states[callee] === 0) {
        path.push({ rule: callee, at: 0 });
      }
    }
  }
}

/** First steps of the rules that may be called before anything is taken. */
function calledFirst(
  { kinds, next, other }: Program,
  start: number,
  live: Uint8Array,
  empty: Uint8Array,
): number[] {
  const seen = new Set<number>();
  const called = new Set<number>();
  const pending = [start];
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    if (seen.has(step) || live[step] === 0) continue;
    seen.add(step);
    if (kinds[step] === SPLIT) {
      pending.push(next[step]!, other[step]!);
    } else if (kinds[step] === CALL) {
      called.add(other[step]!);
      if (empty[other[step]!] === 1) pending.push(next[step]!);
    }
  }
  return [...called];
}
