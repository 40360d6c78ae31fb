import type { ToolCall } from '../../chat/index.js';

/** A picture as a row names it: a path beside the data file, a data: URL, or the bytes of its file. */
export type PictureSource = string | Uint8Array;

export type RowPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly source: PictureSource };

export interface RowMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly RowPart[];
  readonly toolCalls?: readonly ToolCall[];
  /** Whether an answer is to be learnt. */
  readonly learnt: boolean;
}

export interface RowChat {
  readonly kind: 'chat';
  readonly messages: readonly RowMessage[];
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
}

/** Text that goes on from a prompt, without the layout of a chat. */
export interface RowCompletion {
  readonly kind: 'completion';
  readonly prompt: string;
  readonly completion: string;
}

export interface RowText {
  readonly kind: 'text';
  readonly text: string;
  /** Whether the document ends with it. */
  readonly ends: boolean;
}

export interface RowPair {
  readonly kind: 'pair';
  readonly chosen: RowChat | RowCompletion;
  readonly rejected: RowChat | RowCompletion;
}

/** What a row says, whichever of the usual forms it has. */
export type DataRow = RowChat | RowCompletion | RowText | RowPair;
