import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import type { ImatrixEntry } from './imatrix.js';

export function badImatrix(path: string, code: string, message: string): CriaError {
  return new CriaError('bad-file', code, `'${path}': ${message}`);
}

/** Throws `imatrix-bad-value` unless sums and counts are what adding squares and ones can give. */
export function checkValues(path: string, name: string, { sums, counts }: ImatrixEntry): void {
  for (const [what, values] of [
    ['a sum of squares', sums],
    ['a count', counts],
  ] as const) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value >= 0 && value < Number.POSITIVE_INFINITY) continue;
      throw badImatrix(
        path,
        'imatrix-bad-value',
        `${quote(name)}: expected ${what}, found ${value} at index ${i}`,
      );
    }
  }
}
