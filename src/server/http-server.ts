import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { CriaError } from '../base/errors.js';

export interface HttpServer {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Takes no more requests, and resolves when those under way are answered. */
  drain(): Promise<void>;
  /** Ends everything now. */
  stop(): Promise<void>;
}

/** A body has this long to arrive, and headers half of it: slow senders must not hold connections. */
const REQUEST_MILLISECONDS = 60_000;

/** Answers requests by an app; port 0 takes any free one. Throws `port-unavailable` (resources). */
export async function startHttpServer(
  app: Hono,
  address: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { requestTimeout: REQUEST_MILLISECONDS, headersTimeout: REQUEST_MILLISECONDS / 2 },
    (request, response) => void listener(request, response),
  );
  await listen(server, address);
  const { address: host, port, family } = server.address() as AddressInfo;
  const drain = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  return {
    url: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`,
    drain,
    stop: async () => {
      const done = drain();
      server.closeAllConnections();
      await done;
    },
  };
}

function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'it is in use: choose another with --port' : error.message;
      reject(new CriaError('resources', 'port-unavailable', `cannot listen on ${host}:${port}: ${why}`));
    });
    server.listen(port, host, () => resolve());
  });
}
