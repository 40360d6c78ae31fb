import { CriaError } from '../../base/errors.js';

/** Code points from the first to the last, both included. */
export type CharacterRange = readonly [first: number, last: number];

/** What a grammar's rules are made of, whichever notation they were written in. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** One character of ascending ranges that do not touch. */
  | { readonly kind: 'characters'; readonly ranges: readonly CharacterRange[] }
  /** One token of the vocabulary, by id or by its spelling; the only way a control token can be part of a text. */
  | { readonly kind: 'token'; readonly token: number | string }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly body: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string };

/** Rules by name; `root` is what the whole text has to match. */
export type Grammar = ReadonlyMap<string, Expression>;

export const ROOT = 'root';

/** Deepest nesting of groups; what a person writes has a tenth of it, and it keeps recursion over rules shallow. */
export const MAX_NESTING = 200;

export const EMPTY: Expression = { kind: 'sequence', parts: [] };

export function text(value: string): Expression {
  return { kind: 'text', text: value };
}

export function sequence(...parts: Expression[]): Expression {
  return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
}

export function choice(...options: Expression[]): Expression {
  return options.length === 1 ? options[0]! : { kind: 'choice', options };
}

export function repeat(body: Expression, min: number, max = Infinity): Expression {
  return { kind: 'repeat', body, min, max };
}

export function optional(body: Expression): Expression {
  return repeat(body, 0, 1);
}

export function rule(name: string): Expression {
  return { kind: 'rule', name };
}

export function grammarError(code: string, message: string): CriaError {
  return new CriaError('usage', code, `grammar: ${message}`);
}
