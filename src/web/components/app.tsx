import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { preferredLanguage, texts } from '../language/texts.js';
import type { ChatApp } from '../state/chat-app.js';
import { Chat } from './chat.js';
import { NoticeBar } from './notice-bar.js';
import { Page } from './page-context.js';
import { SettingsDialog } from './settings-dialog.js';
import { Sidebar } from './sidebar.js';

export function App({ chat }: { chat: ChatApp }) {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useLayoutEffect(() => chat.subscribe(() => redraw(undefined)), [chat]);
  const { state } = chat;
  const language = state.settings.language ?? preferredLanguage(navigator.languages);
  const page = useMemo(() => ({ chat, t: texts(language) }), [chat, language]);
  const [drawer, setDrawer] = useState(false);
  const closeDrawer = useCallback(() => setDrawer(false), []);
  const settings = useRef<HTMLDialogElement>(null);
  const { theme } = state.settings;
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dataset.theme = theme;
  }, [language, theme]);
  const title = chat.conversation?.title;
  useEffect(() => {
    document.title = title ? `${title} · Cria` : 'Cria';
  }, [title]);
  useShortcuts(chat, closeDrawer);
  return (
    <Page.Provider value={page}>
      <div class={`page ${drawer ? 'drawer-open' : ''}`}>
        <Sidebar state={state} onClose={closeDrawer} />
        {/* biome-ignore lint/a11y/noStaticElementInteractions: for the pointer; keys have the close button */}
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: and Escape */}
        <div class="drawer-shade" onClick={closeDrawer} />
        <Chat state={state} onMenu={() => setDrawer(true)} onSettings={() => settings.current?.showModal()} />
        <SettingsDialog state={state} dialog={settings} />
        <NoticeBar notice={state.notice} />
      </div>
    </Page.Provider>
  );
}

/** Ctrl or ⌘ K begins a new chat; Escape stops the answer, unless it closes something. */
function useShortcuts(chat: ChatApp, closeDrawer: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.isComposing) return;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        chat.open(null);
        closeDrawer();
        document.getElementById('composer')?.focus();
      } else if (
        event.key === 'Escape' &&
        !event.defaultPrevented &&
        !document.querySelector('dialog[open]')
      ) {
        chat.stop();
        closeDrawer();
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [chat, closeDrawer]);
}
