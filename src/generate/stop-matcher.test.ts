import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopMatcher } from './stop-matcher.js';

/** All text shown for these parts, and whether it ended at a stop string. */
function run(stops: readonly string[], parts: readonly string[]): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let text = '';
  for (const part of parts) {
    const step = matcher.push(part);
    text += step.text;
    if (step.stopped) return { text, stopped: true };
  }
  return { text: text + matcher.flush(), stopped: false };
}

const fewLetters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
const stopStrings = fc.array(
  fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }),
  {
    maxLength: 3,
  },
);

describe('StopMatcher', () => {
  it('holds back what may become a stop string', () => {
    const matcher = new StopMatcher(['\nUser:']);
    expect(matcher.push('Hi\nUs')).toEqual({ text: 'Hi', stopped: false });
    expect(matcher.push('age\n')).toEqual({ text: '\nUsage', stopped: false });
    expect(matcher.push('User: x')).toEqual({ text: '', stopped: true });
  });

  it('gives back what did not become one', () => {
    const matcher = new StopMatcher(['END']);
    expect(matcher.push('the EN')).toEqual({ text: 'the ', stopped: false });
    expect(matcher.flush()).toBe('EN');
    expect(matcher.flush()).toBe('');
  });

  it('stops at the string that is complete first', () => {
    expect(run(['abc', 'b'], ['abc'])).toEqual({ text: 'a', stopped: true });
    expect(run(['c', 'bc'], ['abc'])).toEqual({ text: 'a', stopped: true });
  });

  it('does not depend on how the text is cut', () => {
    fc.assert(
      fc.property(stopStrings, fc.array(fewLetters), (stops, parts) => {
        expect(run(stops, parts)).toEqual(run(stops, [...parts.join('')]));
      }),
      { numRuns: 2000 },
    );
  });

  it('shows everything before the first stop string and nothing of it', () => {
    fc.assert(
      fc.property(stopStrings, fc.array(fewLetters), (stops, parts) => {
        const whole = parts.join('');
        const { text, stopped } = run(stops, parts);
        expect(whole.startsWith(text)).toBe(true);
        expect(stopped).toBe(stops.some((stop) => whole.includes(stop)));
        if (stopped) expect(stops.some((stop) => whole.startsWith(stop, text.length))).toBe(true);
        else expect(text).toBe(whole);
        expect(stops.some((stop) => text.includes(stop))).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses an empty stop string', () => {
    expect(() => new StopMatcher(['x', ''])).toThrow(expect.objectContaining({ code: 'empty-stop-string' }));
  });
});
