import { findJsonFault } from '../../base/json-text.js';
import { quote } from '../../base/text.js';
import { RowFault } from './row-fault.js';

/** Deep nesting would exhaust the stack of whoever walks through the value. */
export const MAX_JSON_DEPTH = 64;

export type Fields = Readonly<Record<string, unknown>>;

/** A field of a row; Parquet has null where JSON leaves a field out. */
export function given(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
}

export function objectAt(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new RowFault(`expected ${where} to be an object, found ${kindOf(value)}`);
}

export function listAt(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new RowFault(`expected ${where} to be a list, found ${kindOf(value)}`);
}

export function textAt(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw new RowFault(`expected ${where} to be a string, found ${kindOf(value)}`);
}

/** As `textAt`, and something must be in it. */
export function someTextAt(value: unknown, where: string): string {
  const text = textAt(value, where);
  if (text.trim() === '') throw new RowFault(`expected ${where} to have text, found none`);
  return text;
}

/** A list or object that files without nesting hold as JSON text. */
export function structureAt(value: unknown, where: string): unknown {
  if (typeof value !== 'string') return value;
  if (findJsonFault(value, MAX_JSON_DEPTH)?.kind === 'too-deep') {
    throw new RowFault(`expected at most ${MAX_JSON_DEPTH} levels of nesting in ${where}`);
  }
  try {
    return JSON.parse(value);
  } catch {
    throw new RowFault(`expected ${where} to be JSON, found ${quote(value, 40)}`);
  }
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return `the string ${quote(value, 30)}`;
  return String(value);
}
