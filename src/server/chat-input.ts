import { CriaError } from '../base/errors.js';
import type { Chat, ChatMessage, ImagePart, TextPart } from '../chat/index.js';
import type { EncodedImage } from '../generate/load-model.js';
import { badRequest } from './api-error.js';
import type { ServerContext } from './context.js';
import { readImage } from './image-source.js';
import type { ChatCompletionRequest } from './schemas.js';

type RequestMessage = ChatCompletionRequest['messages'][number];
type RequestContent = RequestMessage['content'];

/** Pictures in one request; each takes tiles of the vision tower's time. */
const MAX_IMAGES = 16;

/** The messages of a request as a chat, with its pictures encoded. Throws ApiError. */
export async function readChat(
  body: Pick<ChatCompletionRequest, 'messages' | 'tools' | 'chat_template_kwargs'>,
  context: Pick<ServerContext, 'model' | 'images'>,
  signal: AbortSignal,
): Promise<Chat> {
  let images = 0;
  const readContent = async (content: RequestContent, path: string): Promise<ChatMessage['content']> => {
    if (content === undefined || content === null) return null;
    if (typeof content === 'string') return content;
    const parts: (TextPart | ImagePart)[] = [];
    for (const [i, part] of content.entries()) {
      if (part.type === 'text') {
        parts.push({ type: 'text', text: part.text });
        continue;
      }
      const param = `${path}.${i}.image_url`;
      images++;
      if (images > MAX_IMAGES)
        throw badRequest('too-many-images', `expected at most ${MAX_IMAGES} pictures`, param);
      if (!context.model.hasVision) {
        throw badRequest('no-vision', 'this server was started without a vision tower (--mmproj)', param);
      }
      const { image_url: given } = part;
      const bytes = await readImage(
        typeof given === 'string' ? given : given.url,
        context.images,
        param,
        signal,
      );
      parts.push({ type: 'image', image: await encode(bytes, context, param, signal) });
    }
    return parts;
  };
  const messages: ChatMessage[] = [];
  for (const [i, message] of body.messages.entries()) {
    const content = await readContent(message.content, `messages.${i}.content`);
    const role = message.role === 'developer' ? 'system' : message.role;
    const calls = message.role === 'assistant' ? message.tool_calls : undefined;
    messages.push({
      role,
      content,
      ...(calls && {
        tool_calls: calls.map((call) => ({ type: 'function' as const, function: call.function })),
      }),
    });
  }
  return {
    messages,
    ...(body.tools && body.tools.length > 0 && { tools: body.tools }),
    ...(body.chat_template_kwargs && { variables: body.chat_template_kwargs }),
  };
}

/** The prompt of a chat, which with `continue_final_message` ends within its last message. Throws ApiError. */
export function chatPrompt(
  chat: Chat,
  body: Pick<ChatCompletionRequest, 'continue_final_message'>,
  { format, model }: Pick<ServerContext, 'format' | 'model'>,
): number[] {
  if (!body.continue_final_message) return format.encode(chat);
  const last = chat.messages.at(-1);
  if (last?.role !== 'assistant' || typeof last.content !== 'string' || last.tool_calls?.length) {
    const message = 'continue_final_message: expected the last message to be text of the assistant';
    throw badRequest('bad-continuation', message, 'messages');
  }
  const before = format.encode({ ...chat, messages: chat.messages.slice(0, -1) });
  return [...before, ...model.tokenizer.encode(last.content, { addBos: false, parseSpecial: false })];
}

/** A picture as tokens. What is wrong with its bytes is the request's mistake. */
async function encode(
  bytes: Uint8Array,
  { model }: Pick<ServerContext, 'model'>,
  param: string,
  signal: AbortSignal,
): Promise<EncodedImage> {
  try {
    return await model.encodeImage(bytes, { signal });
  } catch (error) {
    if (error instanceof CriaError && error.kind === 'bad-file') {
      throw badRequest(error.code, error.message, param);
    }
    throw error;
  }
}
