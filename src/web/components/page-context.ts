import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Texts } from '../language/texts.js';
import type { ChatApp } from '../state/chat-app.js';

export interface PageContext {
  readonly chat: ChatApp;
  readonly t: Texts;
}

export const Page = createContext<PageContext | undefined>(undefined);

export function usePage(): PageContext {
  return useContext(Page)!;
}
