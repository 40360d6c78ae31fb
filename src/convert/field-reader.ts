import { CriaError } from '../base/errors.js';
import type { Metadata } from '../formats/tensor-source.js';

/**
 * Typed access to a configuration: a JSON object or GGUF metadata. Every method throws `bad-config` naming the
 * place, what was expected and what was found; `null` counts as absent, as in transformers' files.
 */
export class FieldReader {
  /** Shown in messages: a path, or the name of a section. */
  readonly where: string;
  readonly #lookup: (key: string) => unknown;

  private constructor(where: string, lookup: (key: string) => unknown) {
    this.where = where;
    this.#lookup = lookup;
  }

  static ofObject(where: string, json: unknown): FieldReader {
    if (!isRecord(json)) throw badConfig(`${where}: expected a JSON object, found ${describe(json)}`);
    return new FieldReader(where, (key) => (Object.hasOwn(json, key) ? json[key] : undefined));
  }

  /** 64-bit integers are read as numbers. */
  static ofMetadata(where: string, metadata: Metadata): FieldReader {
    return new FieldReader(where, (key) => {
      const value = metadata.get(key)?.value;
      return typeof value === 'bigint' ? Number(value) : value;
    });
  }

  /** The value as it is, or undefined when absent. */
  value(key: string): unknown {
    return this.#lookup(key) ?? undefined;
  }

  /** A whole number in `[minimum, maximum]`; required unless `fallback` is given. */
  integer(key: string, minimum: number, maximum: number, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
      throw this.refuse(key, `a whole number from ${minimum} to ${maximum}`);
    }
    return value;
  }

  /** A finite number above zero; required unless `fallback` is given. */
  positive(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
      throw this.refuse(key, 'a number above 0');
    }
    return value;
  }

  /** Python's truth: `attn_temperature_tuning` is `4` in early Llama 4 configurations and `true` in later ones. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'boolean' && typeof value !== 'number') throw this.refuse(key, 'true or false');
    return Boolean(value);
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value !== undefined && typeof value !== 'string') throw this.refuse(key, 'a string');
    return value;
  }

  list(key: string): readonly unknown[] | undefined {
    const value = this.value(key);
    if (value !== undefined && !Array.isArray(value)) throw this.refuse(key, 'a list');
    return value;
  }

  /** A nested object, or undefined when absent. */
  section(key: string): FieldReader | undefined {
    const value = this.value(key);
    return value === undefined ? undefined : FieldReader.ofObject(`${this.where}: ${key}`, value);
  }

  /** The error for a value that is not what it should be. */
  refuse(key: string, expected: string): CriaError {
    return badConfig(`${this.where}: expected ${key} to be ${expected}, found ${describe(this.value(key))}`);
  }
}

export function badConfig(message: string): CriaError {
  return new CriaError('bad-file', 'bad-config', message);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
