import { describe, expect, it } from 'vitest';
import {
  addMessage,
  type Conversation,
  matches,
  newConversation,
  removeMessage,
  settled,
  shownPath,
  showVersion,
  versions,
} from './conversation.js';
import { type Message, requestMessages } from './messages.js';

const user = (id: string, parent: string | null, text = id): Message => ({
  id,
  parent,
  role: 'user',
  text,
  pictures: [],
});
const answer = (id: string, parent: string | null): Message => ({
  id,
  parent,
  role: 'assistant',
  text: id,
  calls: [],
  end: 'stop',
});

function build(...messages: Message[]): Conversation {
  return messages.reduce((chat, message) => addMessage(chat, message, 1), newConversation('c', 0));
}
const shown = (chat: Conversation) => shownPath(chat).map(({ id }) => id);

describe('a conversation', () => {
  // q1 is answered twice, and after the second answer edited into q1'.
  const chat = build(
    user('q1', null),
    answer('a1', 'q1'),
    user('q2', 'a1'),
    answer('a2', 'q2'),
    answer("a1'", 'q1'),
    user("q1'", null),
    answer('b1', "q1'"),
  );

  it('shows the latest versions', () => expect(shown(chat)).toEqual(["q1'", 'b1']));

  it('keeps versions beside each other, with what followed each', () => {
    const [, b1] = shownPath(chat);
    expect(versions(chat, shownPath(chat)[0]!)).toEqual(['q1', "q1'"]);
    expect(versions(chat, b1!)).toEqual(['b1']);
    const first = showVersion(chat, 'q1');
    expect(shown(first)).toEqual(['q1', "a1'"]);
    expect(shown(showVersion(first, 'a1'))).toEqual(['q1', 'a1', 'q2', 'a2']);
  });

  it('takes a message away with all that follows it', () => {
    const rest = removeMessage(showVersion(chat, 'a1'), 'a1');
    expect(rest.messages.map(({ id }) => id)).toEqual(['q1', "a1'", "q1'", 'b1']);
    expect(shown(rest)).toEqual(['q1']);
    expect(removeMessage(chat, 'q1').leaf).toBe('b1');
  });

  it('is named by its first text, unless somebody names it', () => {
    expect(build(user('q', null, ' What\n is  this? ')).title).toBe('What is this?');
    expect([...build(user('q', null, '🦙'.repeat(100))).title]).toHaveLength(60);
    const named = { ...newConversation('c', 0), title: 'Mine' };
    expect(addMessage(named, user('q', null), 1).title).toBe('Mine');
  });

  it('has answers that the end of the page cut off as stopped', () => {
    const { messages } = settled(build(user('q', null), { ...answer('a', 'q'), end: undefined } as Message));
    expect(messages[1]).toEqual({ ...answer('a', 'q'), end: 'stopped' });
  });

  it('is found by all words of a search, in title and text', () => {
    const found = build(user('q', null, 'The rain in Spain'));
    expect(matches(found, 'SPAIN rain')).toBe(true);
    expect(matches(found, 'spain snow')).toBe(false);
  });
});

describe('messages of a request', () => {
  it('have the system prompt first, and pictures before the text', () => {
    const picture = { name: 'p', url: 'data:image/png;base64,AA==', preview: 'data:image/jpeg;base64,AA==' };
    const path: Message[] = [{ ...user('q', null), pictures: [picture] } as Message, answer('a', 'q')];
    expect(requestMessages(path, ' Be kind. ')).toEqual([
      { role: 'system', content: ' Be kind. ' },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: picture.url } },
          { type: 'text', text: 'q' },
        ],
      },
      { role: 'assistant', content: 'a' },
    ]);
    expect(requestMessages([user('q', null)], '  ')).toEqual([{ role: 'user', content: 'q' }]);
  });

  it('pair calls with their results', () => {
    const call = { id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' };
    const path: Message[] = [
      { ...answer('a', null), text: '', calls: [call] } as Message,
      { id: 't', parent: 'a', role: 'tool', callId: 'call_1', text: '12°' },
    ];
    expect(requestMessages(path, '')).toEqual([
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: '12°' },
    ]);
  });
});
