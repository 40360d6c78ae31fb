import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgress, duration } from './progress.js';

function recorder(isTTY: boolean) {
  const writes: string[] = [];
  return { writes, stream: { isTTY, columns: 80, write: (text: string) => writes.push(text) > 0 } as never };
}

describe('createProgress', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('redraws one line of a terminal at most ten times a second', () => {
    const { writes, stream } = recorder(true);
    const progress = createProgress({ label: 'converting', total: 1000, unit: 'items', stream });
    for (let done = 0; done < 1000; done += 10) {
      progress.update(done);
      vi.advanceTimersByTime(20);
    }
    expect(writes.length).toBe(20);
    expect(writes.every((text) => text.startsWith('\r') && !text.includes('\n'))).toBe(true);
    expect(writes.at(-1)).toMatch(/converting \[#{19}\.\] {2}95%.* 500\/s, 0\.1s left/);
    progress.finish();
    expect(writes.at(-1)).toMatch(/converting done: 1000 in 2\.0s.*\n$/);
  });

  it('leaves what was there before out of the rate', () => {
    const { writes, stream } = recorder(false);
    const progress = createProgress({ label: 'pulling', total: 4e9, unit: 'bytes', initial: 3e9, stream });
    vi.advanceTimersByTime(5000);
    progress.update(3.5e9);
    progress.finish();
    expect(writes).toEqual([
      'pulling  87%  3.50 GB of 4.00 GB, 100.0 MB/s, 5.0s left\n',
      'pulling done: 1.00 GB in 5.0s\n',
    ]);
  });

  it('writes plain lines every few seconds elsewhere', () => {
    const { writes, stream } = recorder(false);
    const progress = createProgress({ label: 'copying', total: 4e9, unit: 'bytes', stream });
    for (let second = 1; second <= 12; second++) {
      vi.advanceTimersByTime(1000);
      progress.update(second * 1e8);
    }
    expect(writes).toEqual([
      'copying  12%  500.0 MB of 4.00 GB, 100.0 MB/s, 35.0s left\n',
      'copying  25%  1.00 GB of 4.00 GB, 100.0 MB/s, 30.0s left\n',
    ]);
  });

  it('ends the line before an error message and says nothing when quiet', () => {
    const { writes, stream } = recorder(true);
    const progress = createProgress({ label: 'x', total: 10, unit: 'items', stream });
    progress.update(1);
    progress.fail();
    expect(writes.at(-1)).toBe('\n');
    const silent = recorder(true);
    const quiet = createProgress({
      label: 'x',
      total: 10,
      unit: 'items',
      stream: silent.stream,
      quiet: true,
    });
    quiet.update(5);
    quiet.finish();
    expect(silent.writes).toEqual([]);
  });
});

describe('duration', () => {
  it.each([
    [0.04, '0.0s'],
    [59.97, '1m 00s'],
    [185, '3m 05s'],
    [3599.6, '1h 00m'],
    [7830, '2h 11m'],
  ])('%f seconds is %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});
