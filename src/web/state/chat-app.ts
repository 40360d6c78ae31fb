import { ArchiveError, fromArchive, toArchive } from '../chat/archive.js';
import {
  addMessage,
  type Conversation,
  changeMessage,
  newConversation,
  removeMessage,
  settled,
  shownPath,
  showVersion,
} from '../chat/conversation.js';
import { type Failure, RequestFailure } from '../chat/failure.js';
import type { AssistantMessage, Message, Picture } from '../chat/messages.js';
import { fetchServerInfo, type ServerInfo } from '../chat/server-api.js';
import { readSettings, type Settings } from '../chat/settings.js';
import { writeAnswer } from './answer-writer.js';
import { ConversationStore } from './conversation-store.js';
import { randomId } from './random-id.js';

export type ServerState =
  | { readonly status: 'connecting' }
  | { readonly status: 'ready'; readonly info: ServerInfo }
  | { readonly status: 'failed'; readonly failure: Failure };

export type Notice =
  | { readonly kind: 'deleted'; readonly conversation: Conversation }
  | { readonly kind: 'imported'; readonly count: number }
  | { readonly kind: 'import-failed'; readonly detail: string }
  | { readonly kind: 'no-picture'; readonly name: string };

export interface AppState {
  /** Latest first. */
  readonly conversations: readonly Conversation[];
  /** Id of the conversation that is shown; null for one that has not begun. */
  readonly current: string | null;
  /** Conversations whose answer is being written, and the id of its message. */
  readonly writing: ReadonlyMap<string, string>;
  readonly server: ServerState;
  readonly settings: Settings;
  readonly notice: Notice | undefined;
}

const SETTINGS_KEY = 'cria-settings';
const CURRENT_KEY = 'cria-current';
/** How often an answer that is being written is kept, for pages that close on the way. */
const SAVE_MILLISECONDS = 1500;

/** All that the page does, without how it looks: one state that is replaced, never changed. */
export class ChatApp {
  #state: AppState;
  readonly #listeners = new Set<() => void>();
  readonly #store = new ConversationStore();
  readonly #stops = new Map<string, AbortController>();

  constructor() {
    this.#state = {
      conversations: [],
      current: null,
      writing: new Map(),
      server: { status: 'connecting' },
      settings: readSettings(localStorage.getItem(SETTINGS_KEY)),
      notice: undefined,
    };
  }

  get state(): AppState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(): Promise<void> {
    const connected = this.connect();
    const stored = (await this.#store.all()).map(settled);
    const conversations = [...this.#state.conversations, ...stored].sort((a, b) => b.updated - a.updated);
    const last = sessionStorage.getItem(CURRENT_KEY);
    const current = conversations.some(({ id }) => id === last) ? last : null;
    this.#set({ conversations, current: this.#state.current ?? current });
    await connected;
  }

  async connect(): Promise<void> {
    try {
      const info = await fetchServerInfo(this.#state.settings.apiKey);
      this.#set({ server: { status: 'ready', info } });
    } catch (error) {
      this.#set({ server: { status: 'failed', failure: failureFrom(error) } });
    }
  }

  get conversation(): Conversation | undefined {
    return this.#find(this.#state.current);
  }

  changeSettings(change: Partial<Settings>): void {
    const settings = { ...this.#state.settings, ...change };
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
    this.#set({ settings });
  }

  open(id: string | null): void {
    if (id === null) sessionStorage.removeItem(CURRENT_KEY);
    else sessionStorage.setItem(CURRENT_KEY, id);
    this.#set({ current: id });
  }

  rename(id: string, title: string): void {
    if (title.trim() !== '') this.#change(id, (conversation) => ({ ...conversation, title: title.trim() }));
  }

  delete(id: string): void {
    const conversation = this.#find(id);
    if (!conversation) return;
    this.stop(id);
    if (this.#state.current === id) this.open(null);
    this.#set({
      conversations: this.#state.conversations.filter((other) => other.id !== id),
      notice: { kind: 'deleted', conversation },
    });
    void this.#store.remove(id);
  }

  restore(conversation: Conversation): void {
    this.#insert([settled(conversation)]);
    this.#set({ notice: undefined });
  }

  notify(notice: Notice | undefined): void {
    this.#set({ notice });
  }

  export(id?: string): string {
    const { conversations } = this.#state;
    return toArchive(id === undefined ? conversations : conversations.filter((other) => other.id === id));
  }

  /** Conversations that are here already are added as copies. */
  import(text: string): void {
    try {
      const imported = fromArchive(text).map((conversation) =>
        this.#find(conversation.id) ? { ...conversation, id: randomId() } : conversation,
      );
      this.#insert(imported);
      this.#set({ notice: { kind: 'imported', count: imported.length } });
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      this.#set({ notice: { kind: 'import-failed', detail: error.message } });
    }
  }

  send(text: string, pictures: readonly Picture[]): void {
    const { id, leaf } = this.#begun();
    this.#add(id, { id: randomId(), parent: leaf, role: 'user', text, pictures });
    this.#answer(id);
  }

  /** Replaces a message of the user by another version, and answers that. */
  edit(message: Message, text: string): void {
    const { id } = this.#begun();
    if (message.role !== 'user' || this.#stops.has(id)) return;
    this.#add(id, { ...message, id: randomId(), text });
    this.#answer(id);
  }

  /** Answers anew what `message` answers. An answer that failed before its first word leaves no version. */
  regenerate(message: AssistantMessage): void {
    const { id } = this.#begun();
    if (this.#stops.has(id)) return;
    const worthless = message.end === 'failed' && message.text === '' && message.calls.length === 0;
    this.#change(id, (conversation) => ({
      ...(worthless ? removeMessage(conversation, message.id) : conversation),
      leaf: message.parent,
    }));
    this.#answer(id);
  }

  /** Goes on with an answer that ended too early. */
  continue(message: AssistantMessage): void {
    const { id } = this.#begun();
    if (!this.#stops.has(id)) void this.#write(id, message);
  }

  /** Gives the result of a call; once all calls of the answer have theirs, the model goes on. */
  answerCall(callId: string, text: string): void {
    const { id, leaf } = this.#begun();
    this.#add(id, { id: randomId(), parent: leaf, role: 'tool', callId, text });
    if (openCalls(shownPath(this.#find(id)!)).length === 0) this.#answer(id);
  }

  showVersion(versionId: string): void {
    const { id } = this.#begun();
    if (!this.#stops.has(id)) this.#change(id, (conversation) => showVersion(conversation, versionId));
  }

  stop(id = this.#state.current): void {
    if (id !== null) this.#stops.get(id)?.abort();
  }

  #answer(id: string): void {
    const parent = this.#find(id)!.leaf;
    const message: AssistantMessage = { id: randomId(), parent, role: 'assistant', text: '', calls: [] };
    this.#add(id, message);
    void this.#write(id, message);
  }

  async #write(id: string, message: AssistantMessage): Promise<void> {
    const stop = new AbortController();
    this.#stops.set(id, stop);
    this.#set({ writing: new Map(this.#state.writing).set(id, message.id) });
    let saved = performance.now();
    const path = shownPath(this.#find(id)!).slice(0, -1);
    await writeAnswer(message, path, this.#state.settings, stop.signal, (answer) => {
      this.#change(id, (conversation) => changeMessage(conversation, message.id, () => answer), false);
      if (performance.now() - saved < SAVE_MILLISECONDS) return;
      saved = performance.now();
      this.#save(id);
    });
    this.#stops.delete(id);
    const writing = new Map(this.#state.writing);
    writing.delete(id);
    this.#set({ writing });
    this.#save(id);
    const { server } = this.#state;
    const answer = this.#find(id)?.messages.find((other) => other.id === message.id) as
      | AssistantMessage
      | undefined;
    const failed = answer?.end === 'failed' ? answer.failure : undefined;
    // The key may be wrong, or the server another one than before.
    if (failed?.kind === 'unauthorized' || server.status !== 'ready') await this.connect();
  }

  /** The conversation that is shown, which begins with its first message. */
  #begun(): Conversation {
    const shown = this.conversation;
    if (shown) return shown;
    const conversation = newConversation(randomId(), Date.now());
    this.#set({ conversations: [conversation, ...this.#state.conversations] });
    this.open(conversation.id);
    return conversation;
  }

  #add(id: string, message: Message): void {
    this.#change(id, (conversation) => addMessage(conversation, message, Date.now()));
    const conversation = this.#find(id)!;
    const others = this.#state.conversations.filter((other) => other.id !== id);
    this.#set({ conversations: [conversation, ...others] });
  }

  #insert(added: readonly Conversation[]): void {
    const conversations = [...added, ...this.#state.conversations].sort((a, b) => b.updated - a.updated);
    this.#set({ conversations });
    for (const conversation of added) void this.#store.put(conversation);
  }

  #change(id: string, change: (conversation: Conversation) => Conversation, save = true): void {
    const conversations = this.#state.conversations.map((other) => (other.id === id ? change(other) : other));
    this.#set({ conversations });
    if (save) this.#save(id);
  }

  #save(id: string): void {
    const conversation = this.#find(id);
    if (conversation) void this.#store.put(conversation);
  }

  #find(id: string | null): Conversation | undefined {
    return this.#state.conversations.find((conversation) => conversation.id === id);
  }

  #set(change: Partial<AppState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** Ids of the calls at the end of a path that have no result yet. */
export function openCalls(path: readonly Message[]): string[] {
  const last = path.findLastIndex(({ role }) => role === 'assistant');
  const answer = path[last];
  if (answer?.role !== 'assistant') return [];
  const results = new Set(path.slice(last + 1).map((message) => message.role === 'tool' && message.callId));
  return answer.calls.map(({ id }) => id).filter((id) => !results.has(id));
}

function failureFrom(error: unknown): Failure {
  return error instanceof RequestFailure ? error.failure : { kind: 'server', detail: String(error) };
}
