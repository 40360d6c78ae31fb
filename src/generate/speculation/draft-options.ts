import { CriaError } from '../../base/errors.js';

/** `value`, if it is an integer from `min` up; throws `bad-draft-option` (kind `usage`). */
export function checkDraftOption(name: string, value: number, min: number): number {
  if (!Number.isInteger(value) || value < min) {
    throw badDraftOption(name, `an integer from ${min} up`, value);
  }
  return value;
}

export function badDraftOption(name: string, expected: string, found: number): CriaError {
  return new CriaError('usage', 'bad-draft-option', `${name}: expected ${expected}, found ${found}`);
}
