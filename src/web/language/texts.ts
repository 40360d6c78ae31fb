import type { Language } from '../chat/settings.js';
import { ENGLISH, type TextKey } from './english.js';
import { JAPANESE } from './japanese.js';

/** Gives the text of a key with its values filled in. */
export type Texts = (key: TextKey, values?: Readonly<Record<string, string | number>>) => string;

const LANGUAGES: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = {
  en: ENGLISH,
  ja: JAPANESE,
};

export function texts(language: Language): Texts {
  const table = LANGUAGES[language];
  return (key, values = {}) =>
    table[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The first of the reader's languages that the page has. */
export function preferredLanguage(languages: readonly string[]): Language {
  for (const tag of languages) {
    const language = tag.slice(0, 2).toLowerCase();
    if (language === 'ja' || language === 'en') return language;
  }
  return 'en';
}
