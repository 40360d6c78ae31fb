import { CriaError } from './errors.js';

const PREFIXES = ['', 'K', 'M', 'G', 'T', 'P'];

/**
 * Bytes from a size as people type it: `500M`, `33.8GB`, `24 GiB`, `1000000`. K, M, G, T are powers of 1000, as in
 * llama.cpp's `--split-max-size` and on the Hub; with an `i` (`GiB`) they are powers of 1024. Case does not matter.
 * Throws `bad-size` (usage).
 */
export function parseByteSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?\s*$/i.exec(text);
  const [, digits, prefix = '', binary = ''] = match ?? [];
  const power = PREFIXES.indexOf(prefix.toUpperCase());
  const bytes = Math.round(Number(digits) * (binary === '' ? 1000 : 1024) ** power);
  if (match === null || (binary !== '' && prefix === '') || !(bytes > 0) || !Number.isSafeInteger(bytes)) {
    throw new CriaError(
      'usage',
      'bad-size',
      `'${text}' is not a size: expected a number and a unit, as 500M, 33.8GB or 24GiB`,
    );
  }
  return bytes;
}

/** A size for people, in powers of 1000 and three digits or more: `33.8 GB`, `999 B`. */
export function formatBytes(bytes: number): string {
  let power = 0;
  let value = bytes;
  // Stepping at 999.95 keeps rounding from printing 1000.0 kB.
  while (value >= (power === 0 ? 1000 : 999.95) && power < PREFIXES.length - 1) {
    value /= 1000;
    power++;
  }
  return power === 0
    ? `${bytes} B`
    : `${value.toFixed(value < 10 ? 2 : 1)} ${PREFIXES[power]!.replace('K', 'k')}B`;
}
