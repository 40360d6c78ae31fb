import type { Llama4Config } from '../convert/llama4-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { type PlanOptions, planModel } from '../model/layout.js';
import { kernelTables } from '../quant/kernel-tables.js';
import { plannedBytes } from './fit.js';

/** Node, V8 and the code, in bytes: what a process has resident beside the memories of a model. */
export const PROCESS_BYTES = 110e6;

/**
 * Memory, in bytes, that a process needs to run a text model: weights as they are laid out, cache, buffers, and the
 * program itself. `usage` of the cache and batch buffers grows to this as they fill. Pure.
 */
export function criaMemory(
  config: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  options: Omit<PlanOptions, 'tablesBytes'>,
): number {
  const tablesBytes = kernelTables().length;
  return plannedBytes(planModel(config, tensors, { ...options, tablesBytes })) + PROCESS_BYTES;
}
