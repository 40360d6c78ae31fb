import { type ToolCallEvent, ToolCallParser, type ToolNames } from '../chat/index.js';
import {
  type GeneratedToken,
  type GenerateOptions,
  type GenerationSummary,
  generate,
} from '../generate/index.js';
import type { ServerContext } from './context.js';

export interface AnswerRequest {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
  /** How much of each adapter it gets; absent: what the slot has. */
  readonly adapters?: readonly number[];
  /** Functions whose calls are looked for in the text; absent: the text is passed on as it is. */
  readonly tools?: ToolNames;
  readonly signal: AbortSignal;
}

/** What a step of generation brought: often nothing yet that can be shown. */
export interface AnswerPiece {
  readonly events: readonly ToolCallEvent[];
  readonly tokens: readonly GeneratedToken[];
}

export interface AnswerSummary extends GenerationSummary {
  /** Tool calls found in the text. */
  readonly calls: number;
}

/**
 * One answer: waits for a slot, generates there, and gives the slot back however it ends. Throws `queue-full` (503)
 * when too many wait, and what generation throws.
 */
export async function* answer(
  context: Pick<ServerContext, 'slots' | 'model' | 'metrics'>,
  { prompt, options, adapters, tools, signal }: AnswerRequest,
): AsyncGenerator<AnswerPiece, AnswerSummary, void> {
  const { slots, model, metrics } = context;
  const asked = performance.now();
  const slot = await slots.acquire(prompt, signal, adapters);
  try {
    if (adapters) await model.setAdapterScales(adapters, slot.index);
    const parser = tools && new ToolCallParser(tools);
    const tokens = generate(slot.model, model.tokenizer, prompt, {
      ...options,
      // Python tags tell where calls are; the parser takes them out again.
      showSpecial: tools !== undefined,
      cachedTokens: slot.cachedTokens,
      signal,
    });
    let step = await tokens.next();
    metrics.firstToken.observe((performance.now() - asked) / 1000);
    for (; !step.done; step = await tokens.next()) {
      const { text } = step.value;
      yield { events: parser ? parser.push(text) : textEvents(text), tokens: [step.value] };
    }
    const summary = step.value;
    if (parser) yield { events: parser.end(), tokens: [] };
    count(metrics, summary);
    return { ...summary, calls: parser?.calls ?? 0 };
  } finally {
    slots.release(slot);
  }
}

function textEvents(text: string): ToolCallEvent[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

function count(metrics: ServerContext['metrics'], summary: GenerationSummary): void {
  metrics.promptTokens.inc(summary.promptTokens);
  metrics.cachedTokens.inc(summary.reusedTokens);
  metrics.generatedTokens.inc(summary.generatedTokens);
  if (summary.generatedTokens > 1) {
    metrics.tokenTime.observe(summary.generationSeconds / (summary.generatedTokens - 1));
  }
}

/** OpenAI's word for why an answer ended. */
export function finishReason({ reason, calls }: AnswerSummary): 'stop' | 'length' | 'tool_calls' {
  if (reason === 'length' || reason === 'context') return 'length';
  return calls > 0 ? 'tool_calls' : 'stop';
}
