import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { llamaCppCacheBytes } from './cache-size.js';
import { type Footprint, footprint } from './footprint.js';
import { parseGpuList } from './hardware.js';
import { llamaCppCommand } from './llama-cpp-command.js';
import { COMPUTE_BYTES, type Placement, placeModel } from './placement.js';
import { generationSpeed } from './speed.js';

const GIB = 2 ** 30;
const F16 = { k: 'f16', v: 'f16' } as const;
/** nano-scout's attention. */
const NANO = {
  ropeLayers: [true, true, true, false, true, true],
  attentionChunkSize: 8192,
  headCountKv: 2,
  headDim: 32,
};

/** Four layers of 1 GiB and experts of 4 GiB each, one of four experts used; embedding and output of 1 GiB. */
const MODEL: Footprint = {
  embedding: GIB,
  output: GIB,
  layers: Array.from({ length: 4 }, () => ({ resident: GIB, experts: 4 * GIB })),
  total: 22 * GIB,
  perToken: 9 * GIB,
};
const NO_CACHE = [0, 0, 0, 0];

describe('footprint', () => {
  const tensor = (name: string, bytes: number) => ({ name, bytes });
  const tensors = [
    tensor('token_embd.weight', 100),
    tensor('output.weight', 200),
    tensor('output_norm.weight', 1),
    tensor('blk.0.attn_q.weight', 10),
    tensor('blk.0.ffn_gate_exps.weight', 400),
    tensor('blk.0.ffn_gate_shexp.weight', 20),
    tensor('blk.1.ffn_gate.weight', 30),
  ];
  const config = { expertCount: 8, expertUsedCount: 2, ropeLayers: [true, false] };

  it('tells what every token reads from what one in four does', () => {
    expect(footprint(config, tensors)).toEqual({
      embedding: 100,
      output: 201,
      layers: [
        { resident: 30, experts: 400 },
        { resident: 30, experts: 0 },
      ],
      total: 761,
      perToken: 201 + 30 + 100 + 30,
    });
  });

  it('counts a tied embedding as output', () => {
    const tied = tensors.filter(({ name }) => name !== 'output.weight');
    expect(footprint(config, tied).perToken).toBe(1 + 100 + 30 + 100 + 30);
  });
});

describe('cache sizes', () => {
  it.each([
    [4096, 1 + 5],
    [16384, 4 + 10.625],
    [65536, 16 + 10.625],
  ])('are what llama.cpp logs for %i positions', (contextSize, mebibytes) => {
    expect(llamaCppCacheBytes(NANO, contextSize, F16)).toBe(mebibytes * 2 ** 20);
  });
});

describe('placement', () => {
  it('without a GPU is all in main memory', () => {
    const placement = placeModel(MODEL, NO_CACHE, { vram: [], ram: 64 * GIB });
    expect(placement).toEqual({
      gpus: [],
      ramLayers: [0, 1, 2, 3],
      ramExpertLayers: [],
      ramBytes: 22 * GIB + COMPUTE_BYTES,
      missing: 0,
    });
  });

  it('puts experts on the GPU where the rest left room', () => {
    const { gpus, ramExpertLayers, ramLayers, ramBytes, missing } = placeModel(MODEL, NO_CACHE, {
      vram: [11 * GIB],
      ram: 13 * GIB,
    });
    expect(gpus).toEqual([{ layers: [0, 1, 2, 3], expertLayers: [0], bytes: 10 * GIB }]);
    expect({ ramExpertLayers, ramLayers }).toEqual({ ramExpertLayers: [1, 2, 3], ramLayers: [] });
    expect({ ramBytes, missing }).toEqual({ ramBytes: 14 * GIB, missing: GIB });
  });

  it('keeps the last layers on a GPU that is too small for all', () => {
    const { gpus, ramLayers } = placeModel(MODEL, NO_CACHE, { vram: [4.5 * GIB], ram: 64 * GIB });
    expect(gpus[0]!.layers).toEqual([2, 3]);
    expect(ramLayers).toEqual([0, 1]);
  });

  it('shares layers among GPUs by their room', () => {
    const { gpus, missing } = placeModel(MODEL, NO_CACHE, { vram: [17 * GIB, 9 * GIB], ram: 2 * GIB });
    expect(gpus.map(({ layers }) => layers)).toEqual([[0, 1, 2], [3]]);
    expect(gpus.map(({ expertLayers }) => expertLayers)).toEqual([[0, 1, 2], [3]]);
    expect(missing).toBe(0);
  });

  it('puts everything somewhere once, and nothing where it does not fit', () => {
    const gigabytes = fc.integer({ min: 0, max: 40 }).map((n) => n * GIB);
    fc.assert(
      fc.property(fc.array(gigabytes, { maxLength: 3 }), gigabytes, (vram, ram) => {
        const { gpus, ramLayers, ramExpertLayers, ramBytes, missing } = placeModel(MODEL, NO_CACHE, {
          vram,
          ram,
        });
        const layers = [...gpus.flatMap((gpu) => gpu.layers), ...ramLayers].sort();
        expect(layers).toEqual([0, 1, 2, 3]);
        const experts = [...gpus.flatMap((gpu) => gpu.expertLayers), ...ramExpertLayers, ...ramLayers].sort();
        expect(experts).toEqual([0, 1, 2, 3]);
        for (const [i, gpu] of gpus.entries()) expect(gpu.bytes === 0 || gpu.bytes <= vram[i]!).toBe(true);
        expect(missing).toBe(Math.max(0, ramBytes - ram));
        const used = gpus.filter(({ bytes }) => bytes > 0).length;
        const placed = gpus.reduce((sum, { bytes }) => sum + bytes, ramBytes) - (used + 1) * COMPUTE_BYTES;
        expect(placed).toBe(MODEL.total);
      }),
    );
  });
});

describe('speed', () => {
  it('is the time to read what a token needs, device by device', () => {
    const cpu = placeModel(MODEL, NO_CACHE, { vram: [], ram: 64 * GIB });
    expect(generationSpeed(MODEL, 1 / 4, cpu, { ram: 18 * GIB, vram: [] })).toBeCloseTo(2);
    const mixed = placeModel(MODEL, NO_CACHE, { vram: [6 * GIB], ram: 64 * GIB });
    expect(generationSpeed(MODEL, 1 / 4, mixed, { ram: 8 * GIB, vram: [50 * GIB] })).toBeCloseTo(1 / 0.6);
  });
});

describe('the command for llama.cpp', () => {
  const command = (placement: Placement, layers = 4) =>
    llamaCppCommand({
      model: '-m scout.gguf',
      contextSize: 8192,
      threads: 8,
      cacheTypes: { k: 'q8_0', v: 'f16' },
      placement,
      layers,
    });

  it('names no device without a GPU', () => {
    const placement = placeModel(MODEL, NO_CACHE, { vram: [], ram: 64 * GIB });
    expect(command(placement)).toBe(
      'llama-cli -m scout.gguf --jinja --ctx-size 8192 --threads 8 --cache-type-k q8_0 --temp 0.6 --min-p 0.01 --top-p 0.9',
    );
  });

  it('keeps experts in main memory by pattern', () => {
    const some = placeModel(MODEL, NO_CACHE, { vram: [11 * GIB], ram: 64 * GIB });
    expect(command(some)).toContain('--n-gpu-layers 99 -ot "blk\\.(1|2|3)\\.ffn_.*_exps\\.=CPU"');
    const none = placeModel(MODEL, NO_CACHE, { vram: [7 * GIB], ram: 64 * GIB });
    expect(command(none)).toContain('-ot ".ffn_.*_exps\\.=CPU"');
  });

  it('counts layers where not all go', () => {
    const part = placeModel(MODEL, NO_CACHE, { vram: [4.5 * GIB], ram: 64 * GIB });
    expect(command(part)).toContain('--n-gpu-layers 3 -ot ".ffn_.*_exps\\.=CPU"');
  });

  it('splits layers over GPUs', () => {
    const two = placeModel(MODEL, NO_CACHE, { vram: [17 * GIB, 9 * GIB], ram: 64 * GIB });
    expect(command(two)).toContain('--n-gpu-layers 99 --split-mode layer --tensor-split 3,1 ');
  });
});

describe('GPUs', () => {
  it('are read from lines of name and size', () => {
    expect(parseGpuList('NVIDIA GeForce RTX 4090, 24564\nnonsense\nNVIDIA H200, 143771\n')).toEqual([
      { name: 'NVIDIA GeForce RTX 4090', bytes: 24564 * 2 ** 20 },
      { name: 'NVIDIA H200', bytes: 143771 * 2 ** 20 },
    ]);
  });
});
