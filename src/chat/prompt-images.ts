import { CriaError } from '../base/errors.js';
import type { Chat, ChatMessage, PromptImage } from './messages.js';

/** What chat templates write where a picture stands, in Llama 4's vocabulary. */
export const IMAGE_TOKEN = '<|image|>';

/** The pictures of a chat in order, and the chat as templates see it: where a picture is, not what it is. */
export function splitImages(chat: Chat): { readonly chat: Chat; readonly images: readonly PromptImage[] } {
  const images: PromptImage[] = [];
  const withoutImages = (message: ChatMessage): ChatMessage => {
    if (message.content === null || typeof message.content === 'string') return message;
    const content = message.content.map((part) => {
      if (part.type !== 'image' || part.image === undefined) return part;
      images.push(part.image);
      return { type: part.type };
    });
    return { ...message, content };
  };
  return { chat: { ...chat, messages: chat.messages.map(withoutImages) }, images };
}

/**
 * Token ids with each `marker` replaced by the tokens of a picture, in order. Throws `images-lost` (unsupported)
 * when there are not as many markers as pictures.
 */
export function placeImages(
  ids: readonly number[],
  marker: number | undefined,
  images: readonly PromptImage[],
): number[] {
  const markers = ids.filter((id) => id === marker).length;
  if (markers !== images.length) {
    throw new CriaError(
      'unsupported',
      'images-lost',
      `expected a prompt with a place for each picture (${images.length}), found ${markers}`,
    );
  }
  let next = 0;
  return ids.flatMap((id) => (id === marker ? images[next++]!.ids : [id]));
}
