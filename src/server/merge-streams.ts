/**
 * The items of several generators as they come, each with the index of its source. When one fails, or the reader
 * leaves, the others are ended.
 */
export async function* mergeStreams<T>(
  sources: readonly AsyncGenerator<T, void, void>[],
): AsyncGenerator<{ readonly index: number; readonly item: T }, void, void> {
  const next = async (index: number) => ({ index, result: await sources[index]!.next() });
  const pending = new Map(sources.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done) pending.delete(index);
      else {
        pending.set(index, next(index));
        yield { index, item: result.value };
      }
    }
  } finally {
    // What is under way ends with the others; nobody is left to hear how.
    await Promise.allSettled([...pending.values(), ...sources.map((source) => source.return())]);
  }
}
