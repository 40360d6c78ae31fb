import { execFile } from 'node:child_process';
import { freemem, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { computeThreads } from '../base/processors.js';

export interface Gpu {
  readonly name: string;
  readonly bytes: number;
}

export interface Hardware {
  /** Main memory this process may use, in bytes. */
  readonly ramBytes: number;
  /** What of it is free now. */
  readonly freeBytes: number;
  /** Threads worth starting. */
  readonly threads: number;
  readonly gpus: readonly Gpu[];
}

/** What this machine has. GPUs are those that NVIDIA's driver lists; others have to be named by hand. */
export async function probeHardware(): Promise<Hardware> {
  // A container's limit, where there is one; Node reports an absurdly large number where there is none.
  const limit = process.constrainedMemory() ?? 0;
  const total = totalmem();
  const ramBytes = limit > 0 && limit < total ? limit : total;
  return {
    ramBytes,
    freeBytes: Math.min(freemem(), ramBytes),
    threads: computeThreads(),
    gpus: await nvidiaGpus(),
  };
}

async function nvidiaGpus(): Promise<Gpu[]> {
  try {
    const query = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: 5000 });
    return parseGpuList(stdout);
  } catch {
    // No driver, no NVIDIA GPU: the usual case, and nothing to report.
    return [];
  }
}

/** Lines of `name, MiB` as nvidia-smi prints them; others are left out. */
export function parseGpuList(text: string): Gpu[] {
  return text.split('\n').flatMap((line) => {
    const [, name, mebibytes] = /^\s*(.+?)\s*,\s*(\d+)\s*$/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, bytes: Number(mebibytes) * 2 ** 20 }];
  });
}
