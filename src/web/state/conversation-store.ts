import type { Conversation } from '../chat/conversation.js';

const DATABASE = 'cria';
const STORE = 'conversations';

/** Conversations in the browser's database; in memory alone where the browser keeps none (private windows). */
export class ConversationStore {
  #database: Promise<IDBDatabase | undefined> | undefined;

  async all(): Promise<Conversation[]> {
    const database = await this.#open();
    if (!database) return [];
    return settled(database.transaction(STORE).objectStore(STORE).getAll());
  }

  async put(conversation: Conversation): Promise<void> {
    await this.#write((store) => store.put(conversation));
  }

  async remove(id: string): Promise<void> {
    await this.#write((store) => store.delete(id));
  }

  async #write(change: (store: IDBObjectStore) => IDBRequest): Promise<void> {
    const database = await this.#open();
    if (database) await settled(change(database.transaction(STORE, 'readwrite').objectStore(STORE)));
  }

  #open(): Promise<IDBDatabase | undefined> {
    this.#database ??= openDatabase().catch(() => undefined);
    return this.#database;
  }
}

async function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
