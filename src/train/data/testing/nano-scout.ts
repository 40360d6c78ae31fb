import { readFileSync } from 'node:fs';
import { ChatFormat } from '../../../chat/index.js';
import { tokenizerFromJson } from '../../../model/tokenizer/index.js';

const json = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../../models/nano-scout/${name}`, import.meta.url), 'utf8'));
const config = json('tokenizer_config.json');

export const tokenizer = tokenizerFromJson(json('tokenizer.json'), config);
export const chatTemplate: string = config.chat_template;
export const chatFormat = new ChatFormat(tokenizer, chatTemplate);
