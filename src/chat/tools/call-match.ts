/** A call as it was found in a model's text; `arguments` is JSON. */
export interface FoundCall {
  readonly name: string;
  readonly arguments: string;
}

/**
 * What a text is from some position on:
 * - `none`: no tool call
 * - `partial`: perhaps the beginning of one; more text will tell
 * - `calls`: one or more whole calls up to `end`
 * - `open`: a call whose arguments, a JSON object, begin at `argumentsAt` and may be incomplete
 */
export type CallMatch =
  | { readonly kind: 'none' }
  | { readonly kind: 'partial' }
  | { readonly kind: 'calls'; readonly calls: readonly FoundCall[]; readonly end: number }
  | { readonly kind: 'open'; readonly name: string; readonly argumentsAt: number };

export const NONE: CallMatch = { kind: 'none' };
export const PARTIAL: CallMatch = { kind: 'partial' };

/** The functions a model may call: their names and parameters in order. */
export type ToolNames = ReadonlyMap<string, readonly string[]>;

/** Names and parameters of tools in OpenAI's form; tools without a name are left out. */
export function toolNames(tools: readonly Readonly<Record<string, unknown>>[]): ToolNames {
  const names = new Map<string, readonly string[]>();
  for (const tool of tools) {
    const description = record(tool.function) ?? tool;
    const properties = record(record(description.parameters)?.properties);
    if (typeof description.name === 'string') names.set(description.name, Object.keys(properties ?? {}));
  }
  return names;
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** Index of the first character from `at` on that is no white space. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  while (i < text.length && ' \t\r\n'.includes(text[i]!)) i++;
  return i;
}
