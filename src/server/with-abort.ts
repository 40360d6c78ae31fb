/** Runs `work` with a signal of its own that follows `signal`, and ends whatever of it still runs when it fails. */
export async function withAbort<T>(
  signal: AbortSignal,
  work: (shared: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  try {
    return await work(AbortSignal.any([signal, own.signal]));
  } catch (error) {
    own.abort();
    throw error;
  }
}
