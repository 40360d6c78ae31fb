const KEEP_ALIVE_MILLISECONDS = 15_000;

/**
 * Server-sent events as the body of a response, as fast as the reader takes them. A reader that leaves ends the
 * events' source; while there is nothing to send, comments keep proxies from closing the connection. An error on the
 * way is sent as an event of `errorData`, as the status is out already.
 */
export function eventStream(
  source: AsyncGenerator<string, void, void>,
  errorData: (error: unknown) => string,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let keepAlive: NodeJS.Timeout | undefined;
  let ended = false;
  const end = () => {
    ended = true;
    clearInterval(keepAlive);
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      keepAlive = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(':\n\n'));
      }, KEEP_ALIVE_MILLISECONDS);
    },
    async pull(controller) {
      try {
        const { value, done } = await source.next();
        if (ended) return;
        if (!done) {
          controller.enqueue(encoder.encode(`data: ${value}\n\n`));
          return;
        }
      } catch (error) {
        if (ended) return;
        controller.enqueue(encoder.encode(`data: ${errorData(error)}\n\n`));
      }
      end();
      controller.close();
    },
    async cancel() {
      end();
      await source.return();
    },
  });
}
