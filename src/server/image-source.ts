import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, fetch } from 'undici';
import { formatBytes } from '../base/byte-size.js';
import { ApiError, badRequest } from './api-error.js';

export interface ImagePolicy {
  /** Fetch http and https addresses; only data URLs are taken otherwise. */
  readonly allowUrls: boolean;
  /** Also from this machine and its own network. */
  readonly allowPrivate: boolean;
  /** Largest picture file, in bytes. */
  readonly maxBytes: number;
}

const MAX_REDIRECTS = 3;
const TIMEOUT_MILLISECONDS = 20_000;

/** Addresses that are not public (IANA's special-purpose registries): a request must not reach them through us. */
const NOT_PUBLIC = new BlockList();
const SUBNETS = {
  ipv4: [
    '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
    '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  ],
  // IPv4 in IPv6 (::ffff:…) is checked as IPv4; other prefixes that carry it are refused whole.
  ipv6: [
    '::/128 ::1/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 fc00::/7 fe80::/10 ff00::/8',
  ],
} as const;
for (const family of ['ipv4', 'ipv6'] as const) {
  for (const subnet of SUBNETS[family].flatMap((line) => line.split(' '))) {
    const [network, prefix] = subnet.split('/') as [string, string];
    NOT_PUBLIC.addSubnet(network, Number(prefix), family);
  }
}

/** Whether an address belongs to this machine, a private network, or no network at all. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  return family === 0 || NOT_PUBLIC.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * The bytes of a picture that a request names: base64 in a data URL, or behind an address where the policy allows it.
 * Addresses are checked where the connection is made, after names are resolved, and again at every redirect.
 * Throws ApiError 400: `bad-image-url`, `image-urls-not-allowed`, `private-address`, `image-too-large`,
 * `image-not-fetched`.
 */
export async function readImage(
  url: string,
  policy: ImagePolicy,
  param: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (/^data:/i.test(url)) return decodeDataUrl(url, policy.maxBytes, param);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw badRequest('bad-image-url', 'expected a data: URL of a picture, or an http(s) address', param);
  }
  if (!policy.allowUrls) {
    const message = 'this server fetches no pictures: send a data: URL, or start it with --allow-image-urls';
    throw badRequest('image-urls-not-allowed', message, param);
  }
  return fetchImage(new URL(url), policy, param, signal);
}

function decodeDataUrl(url: string, maxBytes: number, param: string): Uint8Array {
  const comma = url.indexOf(',');
  if (comma < 0 || !/;base64$/i.test(url.slice(0, comma))) {
    throw badRequest('bad-image-url', 'expected data:image/…;base64,… for a picture in the request', param);
  }
  const length = url.length - comma - 1;
  if (length > Math.ceil((maxBytes * 4) / 3) + 4) throw tooLarge(maxBytes, param);
  const encoded = url.slice(comma + 1);
  if (!/^[A-Za-z0-9+/_\-\s]*={0,2}\s*$/.test(encoded)) {
    throw badRequest('bad-image-url', 'expected base64 after the comma of a data: URL', param);
  }
  return Buffer.from(encoded, 'base64');
}

async function fetchImage(
  start: URL,
  policy: ImagePolicy,
  param: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const agent = new Agent({ connect: policy.allowPrivate ? {} : { lookup: publicLookup } });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MILLISECONDS)]);
  let url = start;
  try {
    for (let redirects = 0; ; redirects++) {
      // Connections to a literal address ask nobody for its address.
      const host = url.hostname.replace(/^\[|\]$/g, '');
      if (!policy.allowPrivate && isIP(host) !== 0 && isPrivateAddress(host)) throw new PrivateAddress();
      const response = await fetch(url, { dispatcher: agent, redirect: 'manual', signal: limit });
      const target = response.headers.get('location');
      if (
        response.status >= 300 &&
        response.status < 400 &&
        target !== null &&
        URL.canParse(target, url.href)
      ) {
        await response.body?.cancel();
        url = new URL(target, url);
        if (redirects >= MAX_REDIRECTS || !/^https?:$/.test(url.protocol)) {
          throw badRequest('image-not-fetched', 'the picture is behind too many redirects', param);
        }
        continue;
      }
      if (!response.ok) {
        throw badRequest('image-not-fetched', `the picture's server answered ${response.status}`, param);
      }
      return await readBody(response.body as AsyncIterable<Uint8Array> | null, policy.maxBytes, param);
    }
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    if (causes(error).some((cause) => cause instanceof PrivateAddress)) {
      throw badRequest(
        'private-address',
        'the picture is on a private network, which is not fetched from',
        param,
      );
    }
    throw badRequest('image-not-fetched', `the picture at ${url.host} could not be fetched`, param);
  } finally {
    await agent.destroy();
  }
}

async function readBody(
  body: AsyncIterable<Uint8Array> | null,
  maxBytes: number,
  param: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes, param);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

class PrivateAddress extends Error {}

/** `dns.lookup` that fails on names of private addresses, so that no connection to one is ever made. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error) return callback(error, '', 4);
    if (addresses.length === 0 || addresses.some(({ address }) => isPrivateAddress(address))) {
      return callback(new PrivateAddress(hostname), '', 4);
    }
    if (options.all) return callback(null, addresses);
    const [{ address, family }] = addresses as [LookupAddress];
    callback(null, address, family);
  });
};

function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at = error; at !== undefined && chain.length < 8; at = (at as { cause?: unknown } | null)?.cause)
    chain.push(at);
  return chain;
}

function tooLarge(maxBytes: number, param: string): ApiError {
  return badRequest('image-too-large', `expected a picture of at most ${formatBytes(maxBytes)}`, param);
}
