import { unsupportedSchema } from './schema-keywords.js';

const MAX_DEPTH = 500;
/** Keywords whose values are no schemas. */
const VALUES = ['const', 'enum', 'default', 'examples', 'example'];

/**
 * A schema as a part of another, in which it stands at `pointer` (`#/properties/parameters`): its references to parts
 * of itself name the same parts there. Throws `json-schema-unsupported` (kind `usage`) for endless nesting.
 */
export function rebaseReferences(schema: unknown, pointer: string, depth = 0): unknown {
  if (depth > MAX_DEPTH) {
    throw unsupportedSchema(pointer, `expected at most ${MAX_DEPTH} objects within each other, found more`);
  }
  if (Array.isArray(schema)) return schema.map((part) => rebaseReferences(part, pointer, depth + 1));
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === '$ref' && typeof value === 'string' && value.startsWith('#')) {
        return [key, pointer + value.slice(1)];
      }
      return [key, VALUES.includes(key) ? value : rebaseReferences(value, pointer, depth + 1)];
    }),
  );
}
