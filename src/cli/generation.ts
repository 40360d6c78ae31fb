import { CriaError } from '../base/errors.js';
import type { Constraint } from '../generate/constraint.js';
import type { GenerationSummary } from '../generate/index.js';
import type { Model } from '../generate/load-model.js';
import type { Drafter } from '../generate/speculation/drafter.js';
import type { ExpertCacheStatistics } from '../model/expert-store.js';
import { reusablePrefix } from '../model/sequence-model.js';
import { describeExperts } from './expert-cache.js';
import type { OptionValues } from './options.js';
import type { PromptCache } from './prompt-cache.js';
import type { RUN_OPTIONS } from './run-options.js';
import type { Terminal } from './verb.js';

export interface AnswerOptions {
  readonly signal: AbortSignal;
  /** What to do when `signal` stops the text: keep what there is, or throw `cancelled`. */
  readonly whenStopped: 'keep' | 'throw';
}

/** Writes continuations of prompts to standard output as they are made, and their figures to standard error. */
export class GenerationSession {
  readonly model: Model;
  readonly terminal: Terminal;
  readonly #values: OptionValues<typeof RUN_OPTIONS>;
  readonly #seed: number;
  readonly #drafter: Drafter | undefined;
  readonly #promptCache: PromptCache | undefined;
  readonly #constraint: Constraint | undefined;
  readonly #loadSeconds: number;
  #answers = 0;
  #experts: ExpertCacheStatistics | undefined;

  constructor(
    terminal: Terminal,
    model: Model,
    options: {
      values: OptionValues<typeof RUN_OPTIONS>;
      seed: number;
      loadSeconds: number;
      drafter?: Drafter;
      promptCache?: PromptCache;
      constraint?: Constraint;
    },
  ) {
    this.terminal = terminal;
    this.model = model;
    this.#values = options.values;
    this.#seed = options.seed;
    this.#drafter = options.drafter;
    this.#promptCache = options.promptCache;
    this.#constraint = options.constraint;
    this.#loadSeconds = options.loadSeconds;
  }

  /** Continues `prompt` and returns the new text. */
  async continue(prompt: readonly number[], { signal, whenStopped }: AnswerOptions): Promise<string> {
    const { stdout, stderr } = this.terminal;
    const { predict, stop, temperature, topK, topP, minP, special, ignoreEos } = this.#values;
    const { repeatPenalty, repeatLastN, presencePenalty, frequencyPenalty } = this.#values;
    const cachedTokens = reusablePrefix(this.model.cachedTokens(0), prompt);
    const tokens = this.model.generate(prompt, {
      maxTokens: predict < 0 ? undefined : predict,
      temperature,
      topK,
      topP,
      minP,
      repeatPenalty,
      repeatLastN,
      presencePenalty,
      frequencyPenalty,
      // Another answer to the same prompt has to be able to differ.
      seed: (this.#seed + this.#answers) % 2 ** 32,
      stop,
      ignoreEos,
      showSpecial: special,
      cachedTokens,
      drafter: this.#drafter,
      constraint: this.#constraint,
      signal,
    });
    let text = '';
    let step = await tokens.next();
    await this.#promptCache?.afterPrompt();
    for (; !step.done; step = await tokens.next()) {
      text += step.value.text;
      const shown = stdout.isTTY ? withoutControls(step.value.text) : step.value.text;
      if (!stdout.write(shown)) await drained(stdout);
    }
    const summary = step.value;
    if (!text.endsWith('\n')) stdout.write('\n');
    stderr.write(`${this.#describe(summary)}\n`);
    this.#experts = this.model.expertCache;
    this.#answers++;
    if (summary.reason === 'cancelled' && whenStopped === 'throw') {
      throw new CriaError('cancelled', 'cancelled', 'stopped');
    }
    return text;
  }

  #describe(summary: GenerationSummary): string {
    const { promptTokens, reusedTokens, promptSeconds, generatedTokens, generationSeconds, reason } = summary;
    const { draftedTokens, acceptedTokens } = summary;
    const evaluated = promptTokens - reusedTokens;
    const kept = reusedTokens > 0 ? ` (${reusedTokens} cached)` : '';
    const experts = this.model.expertCache;
    const ends = { stop: 'end', length: '-n reached', context: 'context full', cancelled: 'stopped' };
    return [
      ...(this.#answers === 0 ? [`loaded in ${this.#loadSeconds.toFixed(2)} s`] : []),
      `prompt ${promptTokens} tokens${kept}, ${rate(evaluated, promptSeconds)}`,
      `generated ${generatedTokens} tokens, ${rate(generatedTokens - 1, generationSeconds)}`,
      ...(draftedTokens > 0 ? [`accepted ${acceptedTokens} of ${draftedTokens} guessed`] : []),
      ...(experts ? [describeExperts(experts, this.#experts)] : []),
      `seed ${summary.seed}`,
      ends[reason],
    ].join(' | ');
  }
}

function rate(tokens: number, seconds: number): string {
  return tokens > 0 && seconds > 0 ? `${(tokens / seconds).toFixed(1)} tok/s` : '- tok/s';
}

/** A model is not to move the cursor, rename the window or type answers: its text has line breaks and tabs only. */
function withoutControls(text: string): string {
  return text.replace(/[^\P{Cc}\n\r\t]/gu, '\ufffd');
}

/** A slow reader must not make the text pile up in memory. */
function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => stream.once('drain', resolve));
}
