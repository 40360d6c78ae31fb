import { z } from 'zod';

// Requests of OpenAI's API, with the sampling fields llama-server adds. Clients send more than a server knows, so
// unknown fields pass; known ones are checked.

const text = z.string();
const nonNegative = z.number().min(0);
const whole = z.int();

/** Texts and identifiers a client may choose freely are bounded by the body's size; lists are bounded here. */
const MAX_MESSAGES = 10_000;
const MAX_TOOLS = 512;

const adapterChoice = z.array(z.looseObject({ id: whole.min(0), scale: z.number() })).max(256);

const sampling = {
  max_tokens: whole.min(0).nullish().describe('Most tokens to generate.'),
  temperature: nonNegative.nullish().describe('0 always takes the likeliest token.'),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: whole.min(-1).nullish().describe('0 or -1: all tokens.'),
  min_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  repeat_penalty: z.number().positive().nullish(),
  repeat_last_n: whole.min(-1).nullish(),
  seed: whole.nullish().describe('The same seed gives the same text.'),
  stop: z.union([text, z.array(text).max(16)]).nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish().describe('Token id to what is added to its logit.'),
  ignore_eos: z.boolean().nullish(),
  n: whole.min(1).max(16).nullish().describe('How many answers.'),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  grammar: text.nullish().describe('A GBNF grammar the text has to follow.'),
  cache_prompt: z.boolean().nullish(),
  lora: adapterChoice.nullish().describe('How much of which adapters; others are not used.'),
  model: text.nullish(),
} as const;

const responseFormat = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text') }),
  z.looseObject({ type: z.literal('json_object'), schema: z.unknown().optional() }),
  z.looseObject({
    type: z.literal('json_schema'),
    json_schema: z.looseObject({ name: text.nullish(), schema: z.unknown().optional() }),
  }),
]);

const contentPart = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text'), text }),
  z.looseObject({
    type: z.literal('image_url'),
    image_url: z.union([text, z.looseObject({ url: text })]),
  }),
]);

const content = z.union([text, z.array(contentPart).max(MAX_MESSAGES)]);

const toolCall = z.looseObject({
  id: text.nullish(),
  type: z.literal('function').nullish(),
  function: z.looseObject({
    name: text,
    arguments: z.union([text, z.record(z.string(), z.unknown())]),
  }),
});

const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer']), content }),
  z.looseObject({ role: z.literal('user'), content }),
  z.looseObject({
    role: z.literal('assistant'),
    content: content.nullish(),
    tool_calls: z.array(toolCall).max(MAX_TOOLS).nullish(),
  }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: text.nullish() }),
]);

const tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: z.string().regex(/^[\p{L}_][\p{L}\p{N}_.-]{0,127}$/u),
    description: text.nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
  }),
});

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: text }) }),
]);

export const chatCompletionRequest = z.looseObject({
  ...sampling,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  max_completion_tokens: whole.min(0).nullish(),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: responseFormat.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: whole.min(0).max(20).nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  continue_final_message: z
    .boolean()
    .nullish()
    .describe('Go on with the last message, which is of the assistant; the answer is what is added to it.'),
});

export const completionRequest = z.looseObject({
  ...sampling,
  prompt: z.union([
    text,
    z.array(text).max(64),
    z.array(whole.min(0)),
    z.array(z.array(whole.min(0))).max(64),
  ]),
  echo: z.boolean().nullish(),
  suffix: z.null().optional(),
  logprobs: whole.min(0).max(20).nullish(),
  response_format: responseFormat.nullish(),
});

export const embeddingsRequest = z.looseObject({
  input: z.union([
    text,
    z.array(text).max(256),
    z.array(whole.min(0)),
    z.array(z.array(whole.min(0))).max(256),
  ]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: whole.min(1).nullish(),
  model: text.nullish(),
});

/** As llama-server: the whole body is the list. */
export const loraAdaptersRequest = adapterChoice;

export const tokenizeRequest = z.looseObject({
  content: text,
  add_special: z.boolean().nullish(),
  parse_special: z.boolean().nullish(),
  with_pieces: z.boolean().nullish(),
});

export const detokenizeRequest = z.looseObject({ tokens: z.array(whole.min(0)) });

export const applyTemplateRequest = z.looseObject({
  messages: chatCompletionRequest.shape.messages,
  tools: chatCompletionRequest.shape.tools,
  chat_template_kwargs: chatCompletionRequest.shape.chat_template_kwargs,
});

export type ChatCompletionRequest = z.infer<typeof chatCompletionRequest>;
export type CompletionRequest = z.infer<typeof completionRequest>;
export type EmbeddingsRequest = z.infer<typeof embeddingsRequest>;
export type SamplingFields = Pick<ChatCompletionRequest, keyof typeof sampling>;
export type ResponseFormat = z.infer<typeof responseFormat>;
