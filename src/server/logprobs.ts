import type { GeneratedToken } from '../generate/index.js';
import type { Tokenizer } from '../model/tokenizer/index.js';

type TokenBytes = Pick<Tokenizer, 'decodeBytes'>;

const lenient = new TextDecoder();

/** A token as text and bytes; bytes that are no whole character show as U+FFFD. */
function named(id: number, logprob: number, tokenizer: TokenBytes) {
  const bytes = tokenizer.decodeBytes([id]);
  return { token: lenient.decode(bytes), logprob, bytes: [...bytes] };
}

/** `logprobs` of a chat answer: null unless they were asked for (`wanted` alternatives, 0 for none). */
export function chatLogprobs(
  tokens: readonly GeneratedToken[],
  wanted: number | undefined,
  tokenizer: TokenBytes,
): unknown {
  if (wanted === undefined) return null;
  const content = tokens.map(({ id, logprobs }) => ({
    ...named(id, logprobs!.logprob, tokenizer),
    top_logprobs: logprobs!.top.map((other) => named(other.id, other.logprob, tokenizer)),
  }));
  return { content };
}

/** `logprobs` of a completion, in the older form. @param start offset of the text in what was returned before */
export function completionLogprobs(
  tokens: readonly GeneratedToken[],
  wanted: number | undefined,
  tokenizer: TokenBytes,
  start = 0,
): unknown {
  if (wanted === undefined) return null;
  const all = tokens.map(({ id, logprobs }) => named(id, logprobs!.logprob, tokenizer));
  let offset = start;
  return {
    tokens: all.map(({ token }) => token),
    token_logprobs: all.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ logprobs }) =>
      Object.fromEntries(
        logprobs!.top.map(({ id, logprob }) => [named(id, logprob, tokenizer).token, logprob]),
      ),
    ),
    text_offset: all.map(({ token }) => {
      const at = offset;
      offset += token.length;
      return at;
    }),
  };
}
