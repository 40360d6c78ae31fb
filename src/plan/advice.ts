import type { Llama4Config } from '../convert/llama4-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { type CacheTypes, llamaCppCacheBytes } from './cache-size.js';
import { type Footprint, footprint } from './footprint.js';
import { type MachineMemory, type Placement, placeModel } from './placement.js';
import { type Bandwidth, generationSpeed } from './speed.js';

/** One size of a model that could be run. */
export interface Candidate {
  readonly name: string;
  readonly fileBytes: number;
  readonly tensors: Iterable<TensorInfo>;
  /** What Cria needs for it, in bytes; main memory only. */
  readonly criaBytes: number;
}

export interface AdviceRequest {
  readonly config: Llama4Config;
  readonly contextSize: number;
  readonly cacheTypes: CacheTypes;
  readonly memory: MachineMemory;
  /** Bytes of a vision tower in llama.cpp: on the first GPU, or in main memory where there is none. */
  readonly towerBytes?: number;
  readonly bandwidth: Bandwidth;
}

/** What a machine makes of one size. */
export interface Rung {
  readonly name: string;
  readonly fileBytes: number;
  /** By llama.cpp, over GPUs and main memory. */
  readonly placement: Placement;
  readonly fits: boolean;
  readonly tokensPerSecond: number;
  /** By Cria, in main memory. */
  readonly cria: { readonly bytes: number; readonly fits: boolean; readonly tokensPerSecond: number };
}

/** Judges each size of a model on a machine. Pure. */
export function adviseRungs(candidates: readonly Candidate[], request: AdviceRequest): Rung[] {
  return candidates.map((candidate) => {
    const model = footprint(request.config, candidate.tensors);
    const placement = placeModel(model, cacheByLayer(request), besideTower(request));
    const { name, fileBytes, criaBytes } = candidate;
    return {
      name,
      fileBytes,
      placement,
      fits: placement.missing === 0,
      tokensPerSecond: speed(model, placement, request),
      cria: {
        bytes: criaBytes,
        fits: criaBytes <= request.memory.ram,
        tokensPerSecond: request.bandwidth.ram / model.perToken,
      },
    };
  });
}

/** The memory that llama.cpp has left for the text model. */
function besideTower({ memory: { ram, vram }, towerBytes = 0 }: AdviceRequest): MachineMemory {
  const [first, ...others] = vram;
  return first === undefined
    ? { ram: Math.max(0, ram - towerBytes), vram }
    : { ram, vram: [Math.max(0, first - towerBytes), ...others] };
}

/** The largest that fits, as more bits are a better model; by Cria alone when there is no GPU. */
export function bestRung(rungs: readonly Rung[]): Rung | undefined {
  const usable = rungs.filter(({ fits, cria }) => fits || cria.fits);
  return usable.toSorted((a, b) => b.fileBytes - a.fileBytes)[0];
}

/** llama.cpp's cache, layer by layer. */
function cacheByLayer({ config, contextSize, cacheTypes }: AdviceRequest): number[] {
  return config.ropeLayers.map((rope) =>
    llamaCppCacheBytes({ ...config, ropeLayers: [rope] }, contextSize, cacheTypes),
  );
}

function speed(model: Footprint, placement: Placement, { config, bandwidth }: AdviceRequest): number {
  const usedShare = config.expertCount > 0 ? config.expertUsedCount / config.expertCount : 0;
  return generationSpeed(model, usedShare, placement, bandwidth);
}
