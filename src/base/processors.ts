import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Threads worth starting for work that keeps a core busy: one for each physical core this process may use, since two
 * threads of a core share its arithmetic units. Never more than affinity and container limits allow.
 */
export function computeThreads(): number {
  const logical = availableParallelism();
  return Math.max(1, Math.min(logical, physicalCores() ?? logical));
}

/** Physical cores this process may run on; undefined where the system does not say. */
function physicalCores(): number | undefined {
  try {
    if (process.platform === 'linux') return linuxCores();
    if (process.platform === 'darwin') {
      return Number(execFileSync('sysctl', ['-n', 'hw.physicalcpu'], { timeout: 2000 })) || undefined;
    }
  } catch {
    // Containers may hide these files; the number of logical processors is a fair answer then.
  }
  return undefined;
}

function linuxCores(): number | undefined {
  const root = '/sys/devices/system/cpu';
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  const siblings = new Map<number, string>();
  for (const name of readdirSync(root)) {
    const cpu = /^cpu(\d+)$/.exec(name)?.[1];
    if (cpu === undefined) continue;
    siblings.set(Number(cpu), readFileSync(`${root}/${name}/topology/thread_siblings_list`, 'latin1').trim());
  }
  return countCores(siblings, allowed);
}

/**
 * Cores among the allowed processors. Pure.
 * @param siblings for each processor, a text that is the same for all processors of its core
 * @param allowed processors as Linux lists them (`0-3,8`); all when absent
 */
export function countCores(siblings: ReadonlyMap<number, string>, allowed?: string): number | undefined {
  const cores = new Set<string>();
  for (const [cpu, core] of siblings) if (allowed === undefined || isListed(cpu, allowed)) cores.add(core);
  return cores.size > 0 ? cores.size : undefined;
}

function isListed(cpu: number, list: string): boolean {
  return list.split(',').some((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return cpu >= first && cpu <= last;
  });
}
