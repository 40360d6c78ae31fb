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

/**
 * The form an answer is held to: a grammar, a JSON schema, or calls of tools where the request insists on them;
 * undefined when it may be anything. Throws ApiError and the errors of grammars (kind `usage`).
 */
export function answerForm(body: FormFields, tokenizer: Tokenizer): Constraint | undefined {
  const grammar = formGrammar(body);
  return grammar && new TokenGrammar(grammar, tokenizer);
}

function formGrammar(body: FormFields): Grammar | undefined {
  const { grammar, response_format: format } = body;
  const calls = callsSchema(body);
  const asked = [grammar, format?.type === 'text' ? undefined : format, calls].filter(Boolean);
  if (asked.length > 1) {
    const message = 'expected one of grammar, response_format and a required tool call, found several';
    throw badRequest('conflicting-forms', message, 'response_format');
  }
  if (grammar) return parseGbnf(grammar);
  if (calls) return jsonSchemaGrammar(calls);
  if (format?.type === 'json_schema') return jsonSchemaGrammar(format.json_schema.schema ?? {});
  if (format?.type === 'json_object') {
    return format.schema === undefined ? jsonObjectGrammar() : jsonSchemaGrammar(format.schema);
  }
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
