import {
  choice,
  type Expression,
  type Grammar,
  optional,
  ROOT,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';
import {
  ARRAY_RULE,
  bracketed,
  CHARACTER_RULE,
  COLON,
  COMMA,
  INTEGER_RULE,
  jsonRules,
  NUMBER_RULE,
  OBJECT_RULE,
  quoted,
  STRING_RULE,
  VALUE_RULE,
} from './json-text.js';
import { keyExcept } from './key-except.js';
import { mergeSchemas } from './merge-schemas.js';
import { type Bounds, numbers, wholeNumbers } from './number-range.js';
import {
  checkSchema,
  invalidSchema,
  type Schema,
  type SchemaObject,
  saysOnly,
  typesOf,
  unsupportedSchema,
} from './schema-keywords.js';
import { STRING_FORMATS } from './string-formats.js';
import { stringPattern } from './string-pattern.js';

/** Deepest nesting of schemas, those brought together by `$ref` beside other keywords included. */
const MAX_DEPTH = 100;
/** Most schemas of one grammar, each use of one counted. */
const MAX_SCHEMAS = 20_000;

/**
 * A grammar of JSON texts that a JSON schema (2020-12, and what draft 7 wrote otherwise) validates. Not all of them:
 * properties come in the order of the schema, those it does not name only where `additionalProperties` invites them,
 * spaces are few, numbers have at most 16 digits. `oneOf` is taken as `anyOf`. Unknown keywords and formats are
 * annotations. Throws kind `usage`: `json-schema-invalid`, and `json-schema-unsupported` for what a grammar cannot
 * keep.
 */
export function jsonSchemaGrammar(schema: unknown): Grammar {
  return new SchemaConverter(schema).convert();
}

/** Any JSON object: what chat interfaces call `json_object`. */
export function jsonObjectGrammar(): Grammar {
  return new Map([...jsonRules(), [ROOT, rule(OBJECT_RULE)]]);
}

class SchemaConverter {
  readonly #root: unknown;
  readonly #rules = new Map(jsonRules());
  /** Rules by the pointer of their schema. */
  readonly #references = new Map<string, string>();
  #schemas = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  convert(): Grammar {
    this.#rules.set(ROOT, this.#reference('#', '#'));
    return this.#rules;
  }

  #value(unchecked: unknown, path: string, depth: number): Expression {
    if (depth > MAX_DEPTH || ++this.#schemas > MAX_SCHEMAS) {
      throw unsupportedSchema(path, `expected at most ${MAX_SCHEMAS} schemas, ${MAX_DEPTH} deep, found more`);
    }
    const schema = checkSchema(unchecked, path);
    if (schema === false)
      throw unsupportedSchema(path, 'expected a schema that something matches, found false');
    if (schema === true || saysOnly(schema)) return rule(VALUE_RULE);
    const { $ref, allOf, anyOf, oneOf, ...rest } = schema;
    if ($ref !== undefined && saysOnly(schema, '$ref')) return this.#reference($ref, path);
    if (allOf?.length === 1 && saysOnly(schema, 'allOf')) return this.#value(allOf[0], path, depth + 1);
    if ($ref !== undefined || allOf !== undefined) {
      return this.#value(this.#flat(schema, path, depth + 1), path, depth + 1);
    }
    const alternatives = anyOf ?? oneOf;
    if (alternatives !== undefined) {
      const others = anyOf !== undefined && oneOf !== undefined ? { ...rest, oneOf } : rest;
      return choice(
        ...alternatives.map((option, i) => {
          const both = saysOnly(others) ? option : { allOf: [others, option] };
          return this.#value(both, `${path}/${anyOf ? 'anyOf' : 'oneOf'}/${i}`, depth + 1);
        }),
      );
    }
    return this.#plain(schema, path, depth);
  }

  /** A schema without `$ref` and `allOf` of its own, so that it can be merged. */
  #flat(unchecked: unknown, path: string, depth: number): Schema {
    if (depth > MAX_DEPTH)
      throw unsupportedSchema(path, `expected schemas at most ${MAX_DEPTH} deep, found more`);
    const schema = checkSchema(unchecked, path);
    if (typeof schema === 'boolean') return schema;
    const { $ref, allOf, ...rest } = schema;
    const parts: Schema[] = [rest];
    if ($ref !== undefined) parts.push(this.#flat(this.#resolve($ref, path), path, depth + 1));
    for (const part of allOf ?? []) parts.push(this.#flat(part, path, depth + 1));
    return parts.reduce((a, b) => mergeSchemas(a, b, path));
  }

  #plain(schema: SchemaObject, path: string, depth: number): Expression {
    const types = typesOf(schema.type) ?? impliedTypes(schema);
    if ('const' in schema) return this.#literals([schema.const], schema, path);
    if (schema.enum !== undefined) return this.#literals(schema.enum, schema, path);
    return choice(...types.map((type) => this.#typed(type, schema, path, depth)));
  }

  #literals(values: readonly unknown[], schema: SchemaObject, path: string): Expression {
    if (!saysOnly(schema, 'const', 'enum', 'type')) {
      throw unsupportedSchema(path, "expected only 'type' beside 'const' and 'enum', found more");
    }
    const types = typesOf(schema.type);
    const listed = schema.enum?.map((value) => JSON.stringify(value));
    const allowed = values
      .filter((value) => types === undefined || types.some((type) => isOfType(value, type)))
      .map((value) => JSON.stringify(value))
      .filter((value) => listed === undefined || listed.includes(value));
    if (allowed.length === 0) throw unsupportedSchema(path, 'expected a value of the type, found none');
    return choice(...[...new Set(allowed)].map(text));
  }

  #typed(type: string, schema: SchemaObject, path: string, depth: number): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, path, depth);
      case 'array':
        return this.#array(schema, path, depth);
      case 'string':
        return stringOf(schema, path);
      case 'number':
      case 'integer':
        return numberOf(schema, type, path);
      case 'boolean':
        return choice(text('true'), text('false'));
      default:
        return text('null');
    }
  }

  /** The schema as a rule of its own, so that it is written down once and nesting stays shallow. */
  #ownRule(schema: Schema, path: string, depth: number): Expression {
    const expression = this.#value(schema, path, depth + 1);
    return expression.kind === 'rule' ? expression : this.#addRule(expression);
  }

  #addRule(expression: Expression, name = `part-${this.#rules.size}`): Expression {
    this.#rules.set(name, expression);
    return rule(name);
  }

  #object(schema: SchemaObject, path: string, depth: number): Expression {
    const { properties = {}, required = [], additionalProperties } = schema;
    const named = new Map(Object.entries(properties));
    for (const name of required) {
      if (named.has(name)) continue;
      if (additionalProperties === false) {
        throw unsupportedSchema(
          path,
          `expected required '${name}' among the properties, found no others allowed`,
        );
      }
      named.set(name, additionalProperties ?? true);
    }
    if (named.size === 0 && (additionalProperties ?? true) === true) return rule(OBJECT_RULE);
    const extra = this.#additionalMember(schema, [...named.keys()], path, depth);
    const members = Array.from(named, ([name, value]) => ({
      isRequired: required.includes(name),
      schema: value,
      name,
    })).filter(({ isRequired, schema }) => isRequired || schema !== false);

    // What may follow, from the last property to the first: after another member, and as the first one.
    let next = extra === undefined ? sequence() : repeat(sequence(COMMA, extra), 0);
    let first = extra === undefined ? sequence() : optional(sequence(extra, next));
    for (const { name, schema: value, isRequired } of members.reverse()) {
      const where = `${path}/properties/${name}`;
      const content = sequence(text(JSON.stringify(name)), COLON, this.#ownRule(value, where, depth));
      const member = sequence(this.#addRule(content), this.#addRule(next));
      const skipped = { next, first };
      next = sequence(COMMA, member);
      first = member;
      if (!isRequired) {
        next = choice(next, this.#addRule(skipped.next));
        first = choice(first, this.#addRule(skipped.first));
      }
    }
    return bracketed('{', first, '}');
  }

  /** A member that no property names; undefined where there is to be none. */
  #additionalMember(
    { properties, additionalProperties }: SchemaObject,
    names: readonly string[],
    path: string,
    depth: number,
  ): Expression | undefined {
    const schema = additionalProperties ?? properties === undefined;
    if (schema === false) return undefined;
    const value = this.#ownRule(schema, `${path}/additionalProperties`, depth);
    const key = names.length === 0 ? rule(STRING_RULE) : quoted(keyExcept(names));
    return this.#addRule(sequence(key, COLON, value));
  }

  #array(schema: SchemaObject, path: string, depth: number): Expression {
    const isTuple = Array.isArray(schema.items);
    const prefix = (isTuple ? (schema.items as readonly Schema[]) : schema.prefixItems) ?? [];
    const items = isTuple ? schema.additionalItems : (schema.items as Schema | undefined);
    const { minItems = 0, maxItems = Infinity } = schema;
    if (minItems > maxItems) throw invalidSchema(`${path}/maxItems`, `a count from ${minItems} up`, maxItems);
    if (prefix.length === 0 && items === undefined && minItems === 0 && maxItems === Infinity) {
      return rule(ARRAY_RULE);
    }
    const fixed = prefix
      .slice(0, maxItems)
      .map((item, i) => this.#ownRule(item, `${path}/prefixItems/${i}`, depth));
    const least = Math.max(0, minItems - fixed.length);
    // Items that nothing is said of come only where there have to be some.
    const most =
      items === false || (items === undefined && prefix.length > 0) ? least : maxItems - fixed.length;
    if (items === false && least > 0) {
      throw unsupportedSchema(path, `expected ${minItems} items to be possible, found ${fixed.length}`);
    }
    const list = fixed.flatMap((item, i) => (i === 0 ? [item] : [COMMA, item]));
    if (most > 0) {
      const item = this.#ownRule(items ?? true, `${path}/items`, depth);
      const more = this.#addRule(sequence(COMMA, item));
      if (list.length > 0) list.push(repeat(more, least, most));
      else if (least > 0) list.push(item, repeat(more, least - 1, most - 1));
      else list.push(optional(sequence(item, repeat(more, 0, most - 1))));
    }
    return bracketed('[', sequence(...list), ']');
  }

  /** The rule of the schema that `pointer` names. */
  #reference(pointer: string, path: string): Expression {
    let name = this.#references.get(pointer);
    if (name === undefined) {
      name = `schema-${this.#references.size}`;
      this.#references.set(pointer, name);
      this.#rules.set(name, this.#value(this.#resolve(pointer, path), pointer, 0));
    }
    return rule(name);
  }

  /** JSON pointers (RFC 6901) into the schema itself; nothing is fetched. */
  #resolve(pointer: string, path: string): Schema {
    if (pointer !== '#' && !pointer.startsWith('#/')) {
      throw unsupportedSchema(path, `expected $ref to begin with '#/', found '${pointer.slice(0, 60)}'`);
    }
    let found: unknown = this.#root;
    for (const part of pointer.split('/').slice(1)) {
      const key = decodePart(part).replaceAll('~1', '/').replaceAll('~0', '~');
      const isInside = typeof found === 'object' && found !== null && Object.hasOwn(found, key);
      if (!isInside) throw invalidSchema(path, '$ref to name a schema', pointer);
      found = (found as Record<string, unknown>)[key];
    }
    return checkSchema(found, pointer);
  }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Types that the keywords are about; without `type` others are valid, too, but hardly meant. */
function impliedTypes(schema: SchemaObject): string[] {
  const has = (...keys: (keyof SchemaObject)[]) => keys.some((key) => schema[key] !== undefined);
  const types: string[] = [];
  if (has('properties', 'required', 'additionalProperties')) types.push('object');
  if (has('items', 'prefixItems', 'minItems', 'maxItems', 'additionalItems')) types.push('array');
  if (has('minLength', 'maxLength', 'pattern', 'format')) types.push('string');
  if (has('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum')) types.push('number');
  return types;
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function stringOf({ minLength, maxLength, pattern, format }: SchemaObject, path: string): Expression {
  const known = format === undefined ? undefined : STRING_FORMATS.get(format);
  const hasLength = minLength !== undefined || maxLength !== undefined;
  if ([known, pattern, hasLength || undefined].filter((rule) => rule !== undefined).length > 1) {
    throw unsupportedSchema(path, "expected one of 'pattern', 'format' and a length, found several");
  }
  const expression = pattern ?? known;
  if (expression !== undefined) return quoted(stringPattern(expression));
  if (!hasLength) return rule(STRING_RULE);
  const least = minLength ?? 0;
  const most = maxLength ?? Infinity;
  if (least > most) throw invalidSchema(`${path}/maxLength`, `a count from ${least} up`, most);
  return quoted(repeat(rule(CHARACTER_RULE), least, most));
}

function numberOf(schema: SchemaObject, type: 'number' | 'integer', path: string): Expression {
  const bounds = boundsOf(schema);
  if (bounds.min === -Infinity && bounds.max === Infinity) {
    return rule(type === 'integer' ? INTEGER_RULE : NUMBER_RULE);
  }
  const expression = type === 'integer' ? wholeNumbers(bounds) : numbers(bounds);
  if (expression === undefined) {
    throw unsupportedSchema(
      path,
      `expected a whole number between ${bounds.min} and ${bounds.max}, found none`,
    );
  }
  return expression;
}

/** Draft 4 had `exclusiveMinimum` say whether `minimum` is left out. */
function boundsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: SchemaObject): Bounds {
  const min = minimum ?? -Infinity;
  const max = maximum ?? Infinity;
  const above = typeof exclusiveMinimum === 'number' ? exclusiveMinimum : exclusiveMinimum ? min : -Infinity;
  const below = typeof exclusiveMaximum === 'number' ? exclusiveMaximum : exclusiveMaximum ? max : Infinity;
  return {
    min: Math.max(min, above),
    max: Math.min(max, below),
    aboveMin: above >= min && above > -Infinity,
    belowMax: below <= max && below < Infinity,
  };
}
