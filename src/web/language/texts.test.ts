import { describe, expect, it } from 'vitest';
import { ENGLISH, type TextKey } from './english.js';
import { JAPANESE } from './japanese.js';
import { preferredLanguage, texts } from './texts.js';

describe('the texts of the page', () => {
  it('have the same values in every language', () => {
    const values = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
    for (const key of Object.keys(ENGLISH) as TextKey[]) {
      expect(values(JAPANESE[key]), key).toEqual(values(ENGLISH[key]));
    }
  });

  it('fill values in as they are', () => {
    expect(texts('en')('deleted', { title: '{title} $&' })).toBe('“{title} $&” was deleted.');
    expect(texts('ja')('version', { n: 1, total: 3 })).toBe('3 件中 1 件目');
  });

  it('are in the first language of the reader that there is', () => {
    expect(preferredLanguage(['fr-FR', 'ja-JP', 'en'])).toBe('ja');
    expect(preferredLanguage(['fr'])).toBe('en');
  });
});
