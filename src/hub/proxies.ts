import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { CriaError } from '../base/errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a request to `url`, as curl chooses it: `https_proxy` or `http_proxy` by the scheme, then
 * `all_proxy`, none for the hosts in `no_proxy`; capitals count too, but lower case wins. (Node 20 itself looks at none
 * of them.) Throws `bad-proxy` (usage).
 */
export function proxyFor(url: URL, environment: Environment): string | undefined {
  const variable = (name: string) => environment[name] || environment[name.toUpperCase()] || undefined;
  const proxy = variable(url.protocol === 'https:' ? 'https_proxy' : 'http_proxy') ?? variable('all_proxy');
  if (proxy === undefined || isExcepted(url, variable('no_proxy') ?? '')) return undefined;
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
    throw new CriaError(
      'usage',
      'bad-proxy',
      `expected an http or https proxy, found '${withoutLogin(address)}'`,
    );
  }
  return address;
}

/** `no_proxy` lists hosts, each with its sub-domains and perhaps a port; `*` is all of them. */
function isExcepted(url: URL, list: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const host = bareHost(url.hostname);
  return list
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', entryPort] =
        /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
      const suffix = bareHost(name).replace(/^\*?\./, '');
      if (suffix === '' || (entryPort !== undefined && entryPort !== port)) return false;
      return host === suffix || host.endsWith(`.${suffix}`);
    });
}

/** IPv6 addresses without their brackets. */
function bareHost(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}

function withoutLogin(address: string): string {
  return address.replace(/\/\/[^@/]*@/, '//');
}

export const CONNECT_TIMEOUT_MS = 15_000;
/** How long a server may be silent, before its answer and within it. */
export const SILENCE_TIMEOUT_MS = 30_000;

/** The connections to all servers, straight or through proxies; they stay open between requests. */
export class Connections {
  readonly #environment: Environment;
  readonly #agents = new Map<string, Dispatcher>();
  readonly #options: Agent.Options;

  constructor(perServer: number, environment: Environment) {
    this.#environment = environment;
    this.#options = {
      connections: perServer,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: SILENCE_TIMEOUT_MS,
      bodyTimeout: SILENCE_TIMEOUT_MS,
    };
  }

  /** Whether requests to `url` go through a proxy. */
  proxied(url: URL): boolean {
    return proxyFor(url, this.#environment) !== undefined;
  }

  to(url: URL): Dispatcher {
    const proxy = proxyFor(url, this.#environment);
    // Many proxies refuse tunnels to ports other than 443, and plain http needs none.
    const tunnel = url.protocol === 'https:';
    const key = `${proxy} ${proxy !== undefined && tunnel}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      agent =
        proxy === undefined
          ? new Agent(this.#options)
          : new ProxyAgent({ ...this.#options, uri: proxy, proxyTunnel: tunnel });
      this.#agents.set(key, agent);
    }
    return agent;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }
}
