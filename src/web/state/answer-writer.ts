import { RequestFailure } from '../chat/failure.js';
import { type AssistantMessage, type Message, requestMessages, type ToolCall } from '../chat/messages.js';
import { streamAnswer } from '../chat/server-api.js';
import { requestFields, type Settings } from '../chat/settings.js';

/**
 * Asks for an answer to `path` and tells how it grows, at most once a frame: `begun` with what came added to it, at
 * last with how it ended. A `begun` that has text already is gone on with.
 */
export async function writeAnswer(
  begun: AssistantMessage,
  path: readonly Message[],
  settings: Settings,
  signal: AbortSignal,
  update: (answer: AssistantMessage) => void,
): Promise<void> {
  const { text: given, id, parent } = begun;
  const continuing = given !== '';
  const calls: ToolCall[] = [];
  let answer: AssistantMessage = { id, parent, role: 'assistant', text: given, calls };
  let end: AssistantMessage['end'];
  const asked = performance.now();
  let first: number | undefined;
  let last = asked;
  const frame = new FrameTask(() => update({ ...answer, calls: [...calls] }));
  update(answer);
  try {
    const body = {
      ...requestFields(settings),
      messages: requestMessages(continuing ? [...path, begun] : path, settings.system),
      ...(continuing && { continue_final_message: true }),
    };
    for await (const event of streamAnswer(body, settings.apiKey, signal)) {
      if (event.type === 'end') end = event.reason;
      else if (event.type === 'usage') {
        const seconds = (last - (first ?? asked)) / 1000;
        const tokensPerSecond =
          event.generated > 1 && seconds > 0 ? (event.generated - 1) / seconds : undefined;
        answer = {
          ...answer,
          stats: {
            promptTokens: event.prompt,
            cachedTokens: event.cached,
            generatedTokens: event.generated,
            waitSeconds: ((first ?? last) - asked) / 1000,
            ...(tokensPerSecond !== undefined && { tokensPerSecond }),
          },
        };
      } else {
        last = performance.now();
        first ??= last;
        if (event.type === 'text') answer = { ...answer, text: answer.text + event.text };
        else if (event.type === 'call')
          calls[event.index] = { id: event.id, name: event.name, arguments: '' };
        else {
          const call = calls[event.index];
          if (call) calls[event.index] = { ...call, arguments: call.arguments + event.text };
        }
        frame.request();
      }
    }
    answer = { ...answer, end: end ?? 'stop' };
  } catch (error) {
    const failure =
      error instanceof RequestFailure ? error.failure : ({ kind: 'server', detail: String(error) } as const);
    answer = signal.aborted ? { ...answer, end: 'stopped' } : { ...answer, end: 'failed', failure };
  }
  frame.cancel();
  update({ ...answer, calls: [...calls] });
}

/** Does its work once a frame however often it is asked; in hidden pages, which have no frames, by a timer. */
class FrameTask {
  readonly #work: () => void;
  #frame: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(work: () => void) {
    this.#work = work;
  }

  request(): void {
    if (this.#timer !== undefined) return;
    const run = () => {
      this.cancel();
      this.#work();
    };
    this.#frame = requestAnimationFrame(run);
    this.#timer = setTimeout(run, 250);
  }

  cancel(): void {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = undefined;
    this.#timer = undefined;
  }
}
