import type { CriaError } from '../../base/errors.js';
import { grammarError } from './expression.js';

export type Schema = boolean | SchemaObject;

/** The keywords of JSON Schema 2020-12 (and what earlier drafts called them) that grammars are made from. */
export interface SchemaObject {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  readonly items?: Schema | readonly Schema[];
  readonly additionalItems?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number | boolean;
  readonly exclusiveMaximum?: number | boolean;
}

type Check = (value: unknown) => boolean;

const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isSchema: Check = (value) => typeof value === 'boolean' || isObject(value);
const isSchemas: Check = (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const isText: Check = (value) => typeof value === 'string';
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isCount: Check = (value) => Number.isInteger(value) && (value as number) >= 0;
const isBound: Check = (value) => isNumber(value) || typeof value === 'boolean';

const KEYWORDS: Readonly<Record<string, readonly [expected: string, check: Check]>> = {
  $ref: ['a text', isText],
  type: [
    'a type or a list of types',
    (value) => isText(value) || (isTexts(value) && (value as []).length > 0),
  ],
  enum: ['a list of values', (value) => Array.isArray(value) && value.length > 0],
  const: ['a value', () => true],
  allOf: ['a list of schemas', isSchemas],
  anyOf: ['a list of schemas', isSchemas],
  oneOf: ['a list of schemas', isSchemas],
  properties: [
    'schemas by name',
    (value) => isObject(value) && Object.values(value as object).every(isSchema),
  ],
  required: ['a list of names', isTexts],
  additionalProperties: ['a schema', isSchema],
  items: ['a schema', (value) => isSchema(value) || isSchemas(value)],
  additionalItems: ['a schema', isSchema],
  prefixItems: ['a list of schemas', isSchemas],
  minItems: ['a count', isCount],
  maxItems: ['a count', isCount],
  minLength: ['a count', isCount],
  maxLength: ['a count', isCount],
  pattern: ['a text', isText],
  format: ['a text', isText],
  minimum: ['a number', isNumber],
  maximum: ['a number', isNumber],
  exclusiveMinimum: ['a number', isBound],
  exclusiveMaximum: ['a number', isBound],
};

/** Keywords that restrict what is valid in ways no grammar here keeps, unless they have one of these values. */
const UNSUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  not: [],
  if: [],
  dependencies: [],
  dependentRequired: [],
  dependentSchemas: [],
  patternProperties: [],
  propertyNames: [],
  minProperties: [0],
  maxProperties: [],
  contains: [],
  uniqueItems: [false],
  multipleOf: [],
  $dynamicRef: [],
  $recursiveRef: [],
};

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

export function unsupportedSchema(path: string, message: string): CriaError {
  return grammarError('json-schema-unsupported', `JSON schema, at ${path}: ${message}`);
}

export function invalidSchema(path: string, expected: string, found: unknown): CriaError {
  const shown = String(JSON.stringify(found)).slice(0, 60);
  return grammarError('json-schema-invalid', `JSON schema, at ${path}: expected ${expected}, found ${shown}`);
}

/** Checks one schema without those in it. Throws `json-schema-invalid` and `json-schema-unsupported`. */
export function checkSchema(schema: unknown, path: string): Schema {
  if (typeof schema === 'boolean') return schema;
  if (!isObject(schema)) throw invalidSchema(path, 'a schema', schema);
  for (const [keyword, value] of Object.entries(schema as object)) {
    const known = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (known && !known[1](value)) throw invalidSchema(`${path}/${keyword}`, known[0], value);
    const harmless = Object.hasOwn(UNSUPPORTED, keyword) ? UNSUPPORTED[keyword] : undefined;
    if (harmless && !harmless.includes(value)) {
      throw unsupportedSchema(
        path,
        `expected no '${keyword}', which cannot be kept token by token, found one`,
      );
    }
  }
  const { type } = schema as SchemaObject;
  for (const name of typesOf(type) ?? []) {
    if (!TYPES.includes(name)) throw invalidSchema(`${path}/type`, `one of ${TYPES.join(', ')}`, name);
  }
  return schema as SchemaObject;
}

export function typesOf(type: SchemaObject['type']): readonly string[] | undefined {
  return typeof type === 'string' ? [type] : type;
}

/** Whether a schema says nothing but what is in `known`, apart from annotations. */
export function saysOnly(schema: SchemaObject, ...known: (keyof SchemaObject)[]): boolean {
  const names = known as string[];
  return Object.keys(schema).every((key) => names.includes(key) || !Object.hasOwn(KEYWORDS, key));
}
