import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArchiveError, fromArchive, toArchive } from './archive.js';
import type { Conversation } from './conversation.js';

const PNG = 'data:image/png;base64,iVBORw0KGgo=';
const chat: Conversation = {
  id: 'c1',
  title: 'Rain',
  updated: 5,
  leaf: 'a',
  messages: [
    {
      id: 'q',
      parent: null,
      role: 'user',
      text: 'Why?',
      pictures: [{ name: 'p.png', url: PNG, preview: PNG }],
    },
    {
      id: 'a',
      parent: 'q',
      role: 'assistant',
      text: 'So.',
      calls: [{ id: 'x', name: 'f', arguments: '{}' }],
      end: 'stop',
    },
  ],
};

/** The archive with one value replaced: `messages.1.role` names it. */
function archiveWith(path: string, value: unknown): string {
  const archive = JSON.parse(toArchive([chat]));
  const keys = path.split('.');
  const last = keys.pop()!;
  let place = archive.conversations[0];
  for (const key of keys) place = place[key];
  place[last] = value;
  return JSON.stringify(archive);
}

describe('an exported file', () => {
  it('comes back as it was', () => expect(fromArchive(toArchive([chat]))).toEqual([chat]));

  it.each<[string, unknown, RegExp]>([
    ['id', '', /conversations\[0\]\.id: expected 1 to 100/],
    ['title', 5, /title: expected a text/],
    ['updated', null, /updated: expected a number/],
    ['leaf', 'nobody', /leaf: expected the id of a message/],
    ['messages', {}, /messages: expected a list/],
    ['messages.0.role', 'system', /role: expected 'user'/],
    ['messages.1.id', 'q', /id: expected an id of its own/],
    ['messages.0.parent', 'a', /parent: expected the id of an earlier/],
    ['messages.1.end', 'never', /end: expected 'stop'/],
    ['messages.0.pictures.0.url', 'https://example.com/x.png', /url: expected a data: URL/],
    ['messages.0.pictures.0.preview', 'data:image/svg+xml;base64,AA==', /preview: expected a data: URL/],
    ['messages.0.pictures.0.url', 'javascript:alert(1)', /url: expected a data: URL/],
  ])('is refused with the place when %s is %j', (path, value, message) => {
    expect(() => fromArchive(archiveWith(path, value))).toThrow(message);
  });

  it('brings no fields but the known ones', () => {
    const [found] = fromArchive(archiveWith('messages.1.html', '<script>'));
    expect(found).toEqual(chat);
  });

  it('is refused with one kind of error whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(() => fromArchive(text)).toThrow(ArchiveError);
      }),
    );
  });
});
