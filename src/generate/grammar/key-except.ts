import { complement, eachOf, intersect, mergeRanges } from './character-ranges.js';
import { choice, EMPTY, type Expression, repeat, sequence, text } from './expression.js';
import { PLAIN_CHARACTERS } from './json-text.js';

/** Keys that share this many characters with a name are left out, whatever follows. */
const COMPARED = 100;

/**
 * The content of a JSON string that is none of `names`. Without escapes: an escaped spelling of a name is the same
 * name.
 */
export function keyExcept(names: readonly string[]): Expression {
  return except(
    names.map((name) => Array.from(name)),
    0,
  );
}

function except(names: readonly (readonly string[])[], depth: number): Expression {
  const firsts = new Set(names.flatMap((name) => name.slice(0, 1)));
  const others = intersect(PLAIN_CHARACTERS, complement(mergeRanges([...firsts].flatMap(eachOf))));
  const options: Expression[] = [
    sequence(
      { kind: 'characters', ranges: others },
      repeat({ kind: 'characters', ranges: PLAIN_CHARACTERS }, 0),
    ),
  ];
  if (names.every((name) => name.length > 0)) options.push(EMPTY);
  for (const first of depth < COMPARED ? firsts : []) {
    if (intersect(PLAIN_CHARACTERS, eachOf(first)).length === 0) continue;
    const rests = names.filter((name) => name[0] === first).map((name) => name.slice(1));
    options.push(sequence(text(first), except(rests, depth + 1)));
  }
  return choice(...options);
}
