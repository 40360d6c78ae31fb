import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventParser } from './event-parser.js';

describe('EventParser', () => {
  it('finds the same events however the text is cut', () => {
    const event = fc.array(
      fc.string().filter((line) => !/[\r\n]/.test(line)),
      { minLength: 1, maxLength: 3 },
    );
    const ending = fc.constantFrom('\n', '\r\n', '\r');
    fc.assert(
      fc.property(fc.array(event), ending, fc.array(fc.nat(40)), (events, newline, cuts) => {
        const text = events
          .map((lines) => `:\n${lines.map((line) => `data: ${line}${newline}`).join('')}${newline}`)
          .join('');
        const parser = new EventParser();
        const found: string[] = [];
        let rest = text;
        for (const cut of cuts) {
          found.push(...parser.push(rest.slice(0, cut)));
          rest = rest.slice(cut);
        }
        found.push(...parser.push(rest), ...parser.push('\n'));
        expect(found).toEqual(events.map((lines) => lines.join('\n')));
      }),
    );
  });

  it('leaves comments, other fields and unfinished events out', () => {
    const parser = new EventParser();
    expect(parser.push(': keep-alive\n\nevent: x\nid: 1\ndata:a\n\ndata: b\n')).toEqual(['a']);
    expect(parser.push('\n')).toEqual(['b']);
  });
});
