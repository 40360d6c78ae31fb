import { CriaError } from '../base/errors.js';
import type { HubSettings } from './settings.js';

/** What the Hub says besides the status. */
export interface RefusedAnswer {
  readonly status: number;
  /** Of `X-Error-Code`: `GatedRepo`, `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`. */
  readonly code: string | undefined;
  /** Of `X-Error-Message`. */
  readonly message?: string;
}

/**
 * The error for an answer that another attempt would not change. Codes: `hub-gated`, `hub-no-access`,
 * `hub-no-such-repository`, `hub-no-such-revision`, `hub-no-such-file` (not-found), `hub-bad-answer` (network).
 */
export function refusalError(
  { status, code, message }: RefusedAnswer,
  repo: string,
  settings: Pick<HubSettings, 'endpoint' | 'token'>,
): CriaError {
  const { endpoint, token } = settings;
  const giveToken = 'give a token with --token, HF_TOKEN or `hf auth login`';
  const error = (name: string, text: string) => new CriaError('not-found', name, text);
  if (code === 'GatedRepo') {
    const next =
      token === undefined ? `, then ${giveToken}` : '; the token given is not one of an account that did';
    return error('hub-gated', `${repo} is gated: accept its licence at ${endpoint}/${repo}${next}`);
  }
  if (code === 'RevisionNotFound') return error('hub-no-such-revision', `${repo} has no such revision`);
  if (code === 'EntryNotFound') return error('hub-no-such-file', `${repo} has no such file`);
  if (status === 404) return error('hub-no-such-repository', `there is no repository ${repo} at ${endpoint}`);
  if (status === 401 || status === 403) {
    // Without a token the Hub does not tell a private repository from one that does not exist.
    const next = token === undefined ? `if it is private, ${giveToken}` : 'the token given does not open it';
    const what =
      code === 'RepoNotFound' ? `there is no repository ${repo} at ${endpoint}` : `no access to ${repo}`;
    return error(code === 'RepoNotFound' ? 'hub-no-such-repository' : 'hub-no-access', `${what}; ${next}`);
  }
  const said = message === undefined ? '' : `: ${message.slice(0, 200)}`;
  return new CriaError(
    'network',
    'hub-bad-answer',
    `${endpoint} answers with status ${status} for ${repo}${said}`,
  );
}
