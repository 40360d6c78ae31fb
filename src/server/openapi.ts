import { z } from 'zod';
import {
  applyTemplateRequest,
  chatCompletionRequest,
  completionRequest,
  detokenizeRequest,
  embeddingsRequest,
  loraAdaptersRequest,
  tokenizeRequest,
} from './schemas.js';

const POSTS = [
  ['/v1/chat/completions', 'Answer a chat', chatCompletionRequest],
  ['/v1/completions', 'Continue a text', completionRequest],
  ['/v1/embeddings', 'Embed texts', embeddingsRequest],
  ['/tokenize', 'Text to token ids', tokenizeRequest],
  ['/detokenize', 'Token ids to text', detokenizeRequest],
  ['/lora-adapters', 'Choose the adapters of requests that do not say', loraAdaptersRequest],
  ['/apply-template', 'The prompt that a chat becomes', applyTemplateRequest],
] as const;

const GETS = [
  ['/v1/models', 'The model'],
  ['/health', 'Whether the server answers'],
  ['/props', 'Settings of the server'],
  ['/lora-adapters', 'The adapters, and how much of each requests get that do not say'],
  ['/metrics', 'Counters in Prometheus format'],
] as const;

let document: object | undefined;

/** The interface in OpenAPI 3.1, made from the schemas that requests are checked with. */
export function openApiDocument(): object {
  document ??= {
    openapi: '3.1.0',
    info: {
      title: 'Cria',
      version: '1',
      description: "OpenAI's API for a Llama 4 model, with llama-server's additions.",
    },
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    paths: Object.fromEntries([
      ...POSTS.map(([path, summary, schema]) => [
        path,
        {
          post: {
            summary,
            requestBody: {
              required: true,
              content: { 'application/json': { schema: z.toJSONSchema(schema, { io: 'input' }) } },
            },
            responses: responses('The answer; with "stream": true, server-sent events'),
          },
        },
      ]),
      ...GETS.map(([path, summary]) => [path, { get: { summary, responses: responses(summary) } }]),
    ]),
  };
  return document;
}

function responses(description: string): object {
  return {
    200: { description },
    default: {
      description: 'An error',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            properties: {
              error: {
                type: 'object',
                properties: {
                  message: { type: 'string' },
                  type: { type: 'string' },
                  param: { type: ['string', 'null'] },
                  code: { type: 'string' },
                },
              },
            },
          },
        },
      },
    },
  };
}
