export { ChatFormat, type ChatModel, type ChatTokenizer, chatFormat } from './chat-format.js';
export { Conversation } from './conversation.js';
export type { Chat, ChatMessage, ImagePart, PromptImage, Role, TextPart, ToolCall } from './messages.js';
export { IMAGE_TOKEN, placeImages } from './prompt-images.js';
export { RECOMMENDED_SYSTEM_PROMPT } from './recommended-system-prompt.js';
export { ChatTemplate, type TemplateTokens } from './template.js';
export { type ToolNames, toolNames } from './tools/call-match.js';
export { type ToolCallEvent, ToolCallParser } from './tools/tool-call-parser.js';
