import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Path of a file that a reference implementation made for nano-scout. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`golden/nano-scout/${name}`, import.meta.url));
}

export function goldenFloats(name: string): Float32Array {
  return new Float32Array(new Uint8Array(readFileSync(goldenPath(name))).buffer);
}

// biome-ignore lint/suspicious/noExplicitAny: each golden file has a shape of its own, which its test states
export function goldenJson(name: string): any {
  return JSON.parse(readFileSync(goldenPath(name), 'utf8'));
}

export const NANO_SCOUT = fileURLToPath(new URL('../models/nano-scout', import.meta.url));

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}
