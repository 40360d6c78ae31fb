import { readdirSync, readSync, openSync } from 'node:fs';
import type { StoredTensor } from './tensor-plan.js';

// TEMPORARY
export interface StoredTensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  read(name: string, offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
export async function openStoredTensors(folder: string): Promise<StoredTensors> {
  const tensors = new Map<string, any>();
  for (const f of readdirSync(folder).filter((f) => f.endsWith('.safetensors')).sort()) {
    const fd = openSync(`${folder}/${f}`, 'r');
    const b = Buffer.alloc(8); readSync(fd, b, 0, 8, 0);
    const n = Number(b.readBigUInt64LE()); const h = Buffer.alloc(n); readSync(fd, h, 0, n, 8);
    const j = JSON.parse(h.toString());
    for (const k of Object.keys(j).sort()) if (k !== '__metadata__') tensors.set(k, { ...j[k], fd, at: 8 + n + j[k].data_offsets[0] });
  }
  return { tensors, async read(name, offset, target) { const t = tensors.get(name); readSync(t.fd, target, 0, target.length, t.at + offset); }, async close() {} };
}
