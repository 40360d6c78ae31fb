import { useRef, useState } from 'preact/hooks';
import { type Conversation, matches } from '../chat/conversation.js';
import type { AppState } from '../state/chat-app.js';
import { download } from './download.js';
import { Icon, Logo } from './icon.js';
import { IconButton } from './icon-button.js';
import { memo } from './memo.js';
import { usePage } from './page-context.js';

export function Sidebar({ state, onClose }: { state: AppState; onClose: () => void }) {
  const { chat, t } = usePage();
  const [query, setQuery] = useState('');
  const file = useRef<HTMLInputElement>(null);
  const words = query.trim();
  const found = words === '' ? state.conversations : state.conversations.filter((c) => matches(c, words));
  const midnight = new Date().setHours(0, 0, 0, 0);
  const groups = [
    { name: t('today'), list: found.filter(({ updated }) => updated >= midnight) },
    { name: t('earlier'), list: found.filter(({ updated }) => updated < midnight) },
  ].filter(({ list }) => list.length > 0);
  return (
    <nav class="sidebar" aria-label={t('chats')}>
      <div class="sidebar-head">
        <Logo />
        <strong>Cria</strong>
        <IconButton class="phone-only" icon="close" label={t('closeSidebar')} onClick={onClose} />
      </div>
      <button
        type="button"
        class="new-chat"
        onClick={() => {
          chat.open(null);
          onClose();
          document.getElementById('composer')?.focus();
        }}
      >
        <Icon name="plus" />
        <span>{t('newChat')}</span>
        <kbd class="wide-only">{/Mac|iP/.test(navigator.platform) ? '⌘' : 'Ctrl'} K</kbd>
      </button>
      <label class="search">
        <Icon name="search" />
        <input
          type="search"
          placeholder={t('searchChats')}
          aria-label={t('searchChats')}
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </label>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the buttons within */}
      <div class="chat-list" onKeyDown={moveFocus}>
        {groups.map(({ name, list }) => (
          <section key={name}>
            <h2>{name}</h2>
            <ul>
              {list.map((conversation) => (
                <ChatEntry
                  key={conversation.id}
                  conversation={conversation}
                  current={conversation.id === state.current}
                  writing={state.writing.has(conversation.id)}
                  onOpen={onClose}
                />
              ))}
            </ul>
          </section>
        ))}
        {groups.length === 0 && <p class="hint">{words === '' ? t('noChats') : t('nothingFound')}</p>}
      </div>
      <div class="sidebar-foot">
        <button
          type="button"
          class="quiet-button"
          disabled={state.conversations.length === 0}
          onClick={() => download(`cria-${new Date().toISOString().slice(0, 10)}.json`, chat.export())}
        >
          <Icon name="download" />
          {t('exportAll')}
        </button>
        <button type="button" class="quiet-button" onClick={() => file.current?.click()}>
          <Icon name="upload" />
          {t('import')}
        </button>
        <input
          ref={file}
          type="file"
          accept="application/json,.json"
          class="visually-hidden import-file"
          aria-label={t('import')}
          tabIndex={-1}
          onChange={async ({ currentTarget: input }) => {
            const [chosen] = input.files ?? [];
            if (chosen) chat.import(await chosen.text());
            input.value = '';
          }}
        />
      </div>
    </nav>
  );
}

interface ChatEntryProps {
  conversation: Conversation;
  current: boolean;
  writing: boolean;
  onOpen: () => void;
}

/** While an answer is written, only the entry of its conversation is drawn again. */
const ChatEntry = memo(({ conversation, current, writing, onOpen }: ChatEntryProps) => {
  const { chat, t } = usePage();
  const [renaming, setRenaming] = useState(false);
  const { id } = conversation;
  const title = conversation.title || t('untitled');
  const finish = (name: string | undefined) => {
    if (name !== undefined) chat.rename(id, name);
    setRenaming(false);
  };
  if (renaming) {
    return (
      <li class="chat-entry current">
        <input
          class="rename"
          aria-label={t('rename')}
          value={title}
          ref={(input) => input?.select()}
          onBlur={(event) => finish(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.isComposing) return;
            if (event.key === 'Enter') finish(event.currentTarget.value);
            if (event.key === 'Escape') {
              event.preventDefault();
              finish(undefined);
            }
          }}
        />
      </li>
    );
  }
  return (
    <li class={`chat-entry ${current ? 'current' : ''}`}>
      <button
        type="button"
        class="chat-title"
        title={title}
        aria-current={current ? 'true' : undefined}
        onClick={() => {
          chat.open(id);
          onOpen();
        }}
        onDblClick={() => setRenaming(true)}
      >
        {writing && <span class="pulse" />}
        <span class="chat-title-text">{title}</span>
      </button>
      <div class="chat-entry-actions">
        <IconButton icon="pencil" label={t('rename')} onClick={() => setRenaming(true)} />
        <IconButton
          icon="download"
          label={t('export')}
          onClick={() => download(`cria-${id.slice(0, 8)}.json`, chat.export(id))}
        />
        <IconButton icon="trash" label={t('delete')} onClick={() => chat.delete(id)} />
      </div>
    </li>
  );
});

/** Up and down go from title to title. */
function moveFocus(event: KeyboardEvent & { currentTarget: HTMLElement }): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  const titles = [...event.currentTarget.querySelectorAll<HTMLElement>('.chat-title')];
  const at = titles.indexOf(document.activeElement as HTMLElement);
  if (step === 0 || at < 0) return;
  event.preventDefault();
  titles[at + step]?.focus();
}
