import type { Constraint } from '../generate/constraint.js';
import { type Grammar, parseGbnf, rebaseReferences, TokenGrammar } from '../generate/grammar/index.js';
import { jsonObjectGrammar, jsonSchemaGrammar } from '../generate/grammar/json-schema.js';
import type { Tokenizer } from '../model/tokenizer/index.js';
import { badRequest } from './api-error.js';
import type { ChatCompletionRequest, ResponseFormat } from './schemas.js';

type FormFields = {
  readonly grammar?: string | null | undefined;
  readonly response_format?: ResponseFormat | null | undefined;
} & Partial<Pick<ChatCompletionRequest, 'tools' | 'tool_choice' | 'parallel_tool_calls'>>;

/** Grammars kept for the next request; each may hold masks of 13 MB for the vocabulary of Llama 4. */
const MAX_GRAMMARS = 8;

/**
 * The forms that answers are held to: a grammar, a JSON schema, or calls of tools where the request insists on them.
 * Grammars used last are kept, with what they have found out about the vocabulary.
 */
export class AnswerForms {
  readonly #tokenizer: Tokenizer;
  /** By what they were made of; least recently used first. */
  readonly #grammars = new Map<string, TokenGrammar>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Undefined when the answer may be anything. Throws ApiError and the errors of grammars (kind `usage`). */
  of(body: FormFields): Constraint | undefined {
    const source = formSource(body);
    if (source === undefined) return undefined;
    const key = JSON.stringify(source);
    const grammar = this.#grammars.get(key) ?? new TokenGrammar(compile(source), this.#tokenizer);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    const [oldest] = this.#grammars.keys();
    if (this.#grammars.size > MAX_GRAMMARS) this.#grammars.delete(oldest!);
    return grammar;
  }
}

type FormSource = { readonly gbnf: string } | { readonly schema: unknown } | 'object';

function compile(source: FormSource): Grammar {
  if (source === 'object') return jsonObjectGrammar();
  return 'gbnf' in source ? parseGbnf(source.gbnf) : jsonSchemaGrammar(source.schema);
}

function formSource(body: FormFields): FormSource | undefined {
  const { grammar, response_format: format } = body;
  const calls = callsSchema(body);
  const asked = [grammar, format?.type === 'text' ? undefined : format, calls].filter(Boolean);
  if (asked.length > 1) {
    const message = 'expected one of grammar, response_format and a required tool call, found several';
    throw badRequest('conflicting-forms', message, 'response_format');
  }
  if (grammar) return { gbnf: grammar };
  if (calls) return { schema: calls };
  if (format?.type === 'json_schema') return { schema: format.json_schema.schema ?? {} };
  if (format?.type === 'json_object')
    return format.schema === undefined ? 'object' : { schema: format.schema };
  return undefined;
}

/** A call as Llama 4 writes it, of the tools that `tool_choice` leaves; undefined where a call is not required. */
function callsSchema({ tools, tool_choice: choice }: FormFields): object | undefined {
  if (!choice || choice === 'none' || choice === 'auto') return undefined;
  const named = typeof choice === 'object' ? choice.function.name : undefined;
  const allowed = (tools ?? []).filter(({ function: { name } }) => named === undefined || name === named);
  if (allowed.length === 0) {
    const message =
      named === undefined ? 'expected tools to choose from' : `expected a tool named '${named}' among tools`;
    throw badRequest('no-such-tool', message, 'tool_choice');
  }
  return {
    anyOf: allowed.map(({ function: { name, parameters } }, i) => ({
      type: 'object',
      properties: {
        name: { const: name },
        parameters: rebaseReferences(parameters ?? { type: 'object' }, `#/anyOf/${i}/properties/parameters`),
      },
      required: ['name', 'parameters'],
      additionalProperties: false,
    })),
  };
}
