import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { shownPath, versions } from '../chat/conversation.js';
import type { Message } from '../chat/messages.js';
import { type AppState, openCalls } from '../state/chat-app.js';
import { Composer } from './composer.js';
import { ContextMeter } from './context-meter.js';
import { Icon } from './icon.js';
import { IconButton } from './icon-button.js';
import { MessageView } from './message-view.js';
import { usePage } from './page-context.js';
import { ServerTrouble } from './server-trouble.js';
import { Welcome } from './welcome.js';

interface ChatProps {
  state: AppState;
  onMenu: () => void;
  onSettings: () => void;
}

export function Chat({ state, onMenu, onSettings }: ChatProps) {
  const { chat, t } = usePage();
  const { conversation } = chat;
  const path = useMemo(() => (conversation ? shownPath(conversation) : []), [conversation]);
  const writing = conversation && state.writing.get(conversation.id);
  const [editing, setEditing] = useState<string>();
  const [draft, setDraft] = useState('');
  const scroll = useScroll(conversation?.id);
  const { server } = state;
  const info = server.status === 'ready' ? server.info : undefined;
  const waiting = useMemo(() => openCalls(path), [path]);
  const editLast = () => setEditing(path.findLast(({ role }) => role === 'user')?.id);
  return (
    <main class="chat">
      <header class="chat-head">
        <IconButton class="phone-only" icon="menu" label={t('openSidebar')} onClick={onMenu} />
        <div class="model">
          <span class={`dot ${server.status}`} />
          <span class="model-name">
            {info?.model ?? (server.status === 'connecting' ? t('connecting') : 'Cria')}
          </span>
          {info?.vision && <span class="badge wide-only">{t('vision')}</span>}
        </div>
        <ContextMeter path={path} total={info?.contextSize ?? 0} />
        <IconButton icon="sliders" label={t('settings')} onClick={onSettings} />
      </header>
      <div class="thread" ref={scroll.ref} onScroll={scroll.onScroll}>
        {path.length === 0 ? (
          <Welcome onChoose={setDraft} />
        ) : (
          <section class="messages" aria-label={t('conversation')}>
            {path.map((message, i) => {
              const siblings = versions(conversation!, message);
              const at = siblings.indexOf(message.id);
              return (
                <MessageView
                  key={message.id}
                  message={message}
                  last={i === path.length - 1}
                  writing={message.id === writing}
                  locked={writing !== undefined}
                  editing={message.id === editing}
                  onEdit={setEditing}
                  version={at}
                  versionCount={siblings.length}
                  earlier={siblings[at - 1]}
                  later={siblings[at + 1]}
                  openCalls={i === path.findLastIndex(({ role }) => role === 'assistant') ? waiting : NONE}
                />
              );
            })}
          </section>
        )}
      </div>
      <LiveStatus path={path} writing={writing !== undefined} />
      <div class="chat-foot">
        {!scroll.atEnd && (
          <button
            type="button"
            class="to-end"
            aria-label={t('toBottom')}
            title={t('toBottom')}
            onClick={scroll.toEnd}
          >
            <Icon name="down" />
          </button>
        )}
        {server.status === 'failed' && <ServerTrouble failure={server.failure} />}
        <Composer
          draft={draft}
          onDraft={setDraft}
          info={info}
          writing={writing !== undefined}
          onEditLast={editLast}
          onSent={scroll.toEnd}
        />
      </div>
    </main>
  );
}

const NONE: readonly string[] = [];

/** Tells screen readers how an answer ended, not each word of it. */
function LiveStatus({ path, writing }: { path: readonly Message[]; writing: boolean }) {
  const { t } = usePage();
  const last = path.at(-1);
  const end = last?.role === 'assistant' ? last.end : undefined;
  const said = writing
    ? t('thinking')
    : end === 'stopped'
      ? t('answerStopped')
      : end !== undefined && end !== 'failed' && last?.role === 'assistant'
        ? `${t('answerDone')} ${last.text.slice(0, 2000)}`
        : '';
  return (
    <div class="visually-hidden" aria-live="polite">
      {said}
    </div>
  );
}

/** Keeps the end in view while the reader is there, and leaves the reader alone elsewhere. */
function useScroll(id: string | undefined) {
  const ref = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = () => {
    follow.current = true;
    const { current } = ref;
    if (current) current.scrollTop = current.scrollHeight;
  };
  useLayoutEffect(toEnd, [id]);
  // Whatever is drawn may change the height, and so may the composer below.
  useLayoutEffect(() => {
    if (follow.current) toEnd();
  });
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (follow.current) toEnd();
    });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = ref.current!;
    follow.current = scrollHeight - scrollTop - clientHeight < 60;
    setAtEnd(scrollHeight - scrollTop - clientHeight < 200);
  };
  return { ref, atEnd, toEnd, onScroll };
}
