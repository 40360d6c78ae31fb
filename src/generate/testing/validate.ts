type Any = Record<string, unknown>;

/** A slow, plain validator for the part of JSON Schema that tests use; `root` is where references point. */
export function validates(schema: unknown, value: unknown, root: unknown = schema): boolean {
  if (typeof schema === 'boolean') return schema;
  const s = schema as Any;
  const valid = (part: unknown, of: unknown) => validates(part, of, root);
  if (typeof s.$ref === 'string') {
    const target = s.$ref
      .split('/')
      .slice(1)
      .reduce<unknown>((found, key) => (found as Any)[key], root);
    if (!valid(target, value)) return false;
  }
  const types = s.type === undefined ? undefined : [s.type].flat();
  if (types && !types.some((type) => isOfType(value, type as string))) return false;
  if ('const' in s && JSON.stringify(s.const) !== JSON.stringify(value)) return false;
  if (Array.isArray(s.enum) && !s.enum.some((item) => JSON.stringify(item) === JSON.stringify(value)))
    return false;
  if (Array.isArray(s.allOf) && !s.allOf.every((part) => valid(part, value))) return false;
  if (Array.isArray(s.anyOf) && !s.anyOf.some((part) => valid(part, value))) return false;
  if (Array.isArray(s.oneOf) && !s.oneOf.some((part) => valid(part, value))) return false;
  if (typeof value === 'string') return validString(s, value);
  if (typeof value === 'number') {
    return (
      value >= ((s.minimum as number) ?? -Infinity) &&
      value <= ((s.maximum as number) ?? Infinity) &&
      !(value <= (s.exclusiveMinimum as number)) &&
      !(value >= (s.exclusiveMaximum as number))
    );
  }
  if (Array.isArray(value)) {
    const prefix = (s.prefixItems as unknown[]) ?? [];
    return (
      value.length >= ((s.minItems as number) ?? 0) &&
      value.length <= ((s.maxItems as number) ?? Infinity) &&
      value.every((item, i) => (i < prefix.length ? valid(prefix[i], item) : valid(s.items ?? true, item)))
    );
  }
  if (value === null || typeof value !== 'object') return true;
  const properties = (s.properties as Any) ?? {};
  return (
    ((s.required as string[]) ?? []).every((name) => Object.hasOwn(value, name)) &&
    Object.entries(value).every(([name, item]) =>
      Object.hasOwn(properties, name)
        ? valid(properties[name], item)
        : valid(s.additionalProperties ?? true, item),
    )
  );
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function validString(s: Any, value: string): boolean {
  const length = Array.from(value).length;
  if (length < ((s.minLength as number) ?? 0) || length > ((s.maxLength as number) ?? Infinity)) return false;
  if (typeof s.pattern === 'string' && !new RegExp(s.pattern, 'u').test(value)) return false;
  switch (s.format) {
    case 'date':
      return isDate(value);
    case 'date-time':
      return isDate(value.slice(0, 10)) && !Number.isNaN(Date.parse(value));
    case 'time':
      return !Number.isNaN(Date.parse(`2024-01-01T${value}`));
    case 'uuid':
      return /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(value);
    default:
      return true;
  }
}

function isDate(value: string): boolean {
  const date = new Date(`${value}T00:00:00Z`);
  return (
    /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value)
  );
}
