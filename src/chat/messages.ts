/** Chat messages as OpenAI's API and Hugging Face's chat templates spell them. */
export type Role = 'system' | 'user' | 'assistant' | 'tool' | 'ipython';

export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** A picture as tokens of a prompt: what a model's `encodeImage` gives. */
export interface PromptImage {
  readonly ids: readonly number[];
}

export interface ImagePart {
  readonly type: 'image';
  /** Left out only where a chat is laid out and not encoded. */
  readonly image?: PromptImage;
}

export interface ToolCall {
  readonly type?: 'function';
  readonly id?: string;
  readonly function: {
    readonly name: string;
    readonly arguments: string | Readonly<Record<string, unknown>>;
  };
}

export interface ChatMessage {
  readonly role: Role;
  readonly content: string | readonly (TextPart | ImagePart)[] | null;
  readonly tool_calls?: readonly ToolCall[];
}

export interface Chat {
  readonly messages: readonly ChatMessage[];
  /** Functions the model may call, as JSON Schema objects in OpenAI's form. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
  /** Whether the prompt ends where the assistant's answer begins; true when absent. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables the template may read (`date_string`, `tools_in_user_message`). */
  readonly variables?: Readonly<Record<string, unknown>>;
}
