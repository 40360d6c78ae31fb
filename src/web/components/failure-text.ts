import type { Failure, FailureKind } from '../chat/failure.js';
import type { TextKey } from '../language/english.js';
import type { Texts } from '../language/texts.js';

const KEYS: Readonly<Record<FailureKind, TextKey>> = {
  network: 'network',
  unauthorized: 'unauthorized',
  busy: 'busy',
  'too-long': 'tooLong',
  'too-large': 'tooLarge',
  'no-vision': 'noVision',
  refused: 'refused',
  server: 'server',
};

/** A failure in plain words; the server's own follow where they say more. */
export function failureText({ kind, detail, retryAfter }: Failure, t: Texts): string {
  if (kind === 'busy' && retryAfter !== undefined) return t('busyAfter', { seconds: retryAfter });
  const text = t(KEYS[kind]);
  return (kind === 'refused' || kind === 'server') && detail ? `${text} (${detail})` : text;
}
