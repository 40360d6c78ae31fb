import { type Schema, type SchemaObject, typesOf, unsupportedSchema } from './schema-keywords.js';

/** Most alternatives that two lists of them may make together. */
const MAX_ALTERNATIVES = 256;

/**
 * A schema for what both schemas allow. Schemas within them are joined by `allOf`, to be merged where they are met.
 * Neither has `$ref` or `allOf` itself. Throws `json-schema-unsupported`.
 */
export function mergeSchemas(a: Schema, b: Schema, path: string): Schema {
  if (typeof a === 'boolean') return a ? b : false;
  if (typeof b === 'boolean') return b ? a : false;
  const merged: Record<string, unknown> = { ...a };
  for (const [key, theirs] of Object.entries(b)) {
    const ours = merged[key];
    merged[key] = ours === undefined ? theirs : mergeKeyword(key, ours, theirs, path);
  }
  const alternatives = [...(a.anyOf ? [a.anyOf] : []), ...(a.oneOf ? [a.oneOf] : [])];
  const others = [...(b.anyOf ? [b.anyOf] : []), ...(b.oneOf ? [b.oneOf] : [])];
  if (alternatives.length + others.length > 1) {
    delete merged.oneOf;
    merged.anyOf = [...alternatives, ...others].reduce((product, list) => crossProduct(product, list, path));
  }
  if ([a, b].some((schema) => schema.properties ?? schema.additionalProperties !== undefined)) {
    Object.assign(merged, mergeProperties(a, b));
  }
  return merged as SchemaObject;
}

function both(a: unknown, b: unknown): Schema {
  return { allOf: [a as Schema, b as Schema] };
}

function crossProduct(a: readonly Schema[], b: readonly Schema[], path: string): readonly Schema[] {
  if (a.length * b.length > MAX_ALTERNATIVES) {
    throw unsupportedSchema(path, `expected at most ${MAX_ALTERNATIVES} combined alternatives, found more`);
  }
  return a.flatMap((ours) => b.map((theirs) => both(ours, theirs)));
}

function mergeKeyword(key: string, a: unknown, b: unknown, path: string): unknown {
  switch (key) {
    case 'minimum':
    case 'minLength':
    case 'minItems':
      return Math.max(a as number, b as number);
    case 'maximum':
    case 'maxLength':
    case 'maxItems':
      return Math.min(a as number, b as number);
    case 'required':
      return [...new Set([...(a as string[]), ...(b as string[])])];
    case 'type':
      return commonTypes(typesOf(a as string | string[])!, typesOf(b as string | string[])!, path);
    case 'enum': {
      const theirs = new Set((b as unknown[]).map((value) => JSON.stringify(value)));
      const common = (a as unknown[]).filter((value) => theirs.has(JSON.stringify(value)));
      if (common.length === 0) throw unsupportedSchema(path, 'expected a value in both lists, found none');
      return common;
    }
    case 'const':
    case 'pattern':
    case 'format':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
    case 'prefixItems':
    case 'additionalItems':
      if (JSON.stringify(a) !== JSON.stringify(b)) {
        throw unsupportedSchema(path, `expected one '${key}', found two different ones together`);
      }
      return a;
    case 'items':
      return both(a, b);
    default:
      return a;
  }
}

function commonTypes(a: readonly string[], b: readonly string[], path: string): readonly string[] {
  const accepts = (types: readonly string[], type: string) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const common = [...a.filter((type) => accepts(b, type)), ...b.filter((type) => accepts(a, type))];
  if (common.length === 0) {
    throw unsupportedSchema(path, `expected a common type, found ${a.join(', ')} and ${b.join(', ')}`);
  }
  return [...new Set(common)];
}

/** A name that one of the two does not list is, for that one, an additional property. */
function mergeProperties(a: SchemaObject, b: SchemaObject): Partial<SchemaObject> {
  const names = new Set([...Object.keys(a.properties ?? {}), ...Object.keys(b.properties ?? {})]);
  const of = ({ properties = {}, additionalProperties = true }: SchemaObject, name: string): Schema =>
    Object.hasOwn(properties, name) ? properties[name]! : additionalProperties;
  const properties: [string, Schema][] = [];
  for (const name of names) {
    const ours = of(a, name);
    const theirs = of(b, name);
    if (ours === true || theirs === true) properties.push([name, ours === true ? theirs : ours]);
    else if (ours !== false && theirs !== false) properties.push([name, both(ours, theirs)]);
  }
  const additional = [a.additionalProperties, b.additionalProperties].filter(
    (schema) => schema !== undefined,
  );
  return {
    properties: Object.fromEntries(properties),
    ...(additional.length === 0
      ? {}
      : {
          additionalProperties: additional.includes(false)
            ? false
            : additional.length === 1
              ? additional[0]!
              : both(additional[0], additional[1]),
        }),
  };
}
