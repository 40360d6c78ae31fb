import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { bestSimdBuild } from '../engine/kernels.js';

/**
 * The exports of the training kernels (assembly/train/), one instance per arena. Addresses are numbers of bytes below
 * 2^32, multiples of 4; floats are f32; strides count floats. A float that a kernel writes depends on what it reads
 * alone, never on how callers divide tokens, rows, columns or heads among lanes. The products add 256 summands at a
 * time to what they accumulate: a sum that callers cut there, in order, has the bits of the whole.
 */
export interface TrainKernels {
  /**
   * y[t][r] (+)= Σ_c x[t][c] w[r][c]. Any tokens, rows and columns.
   * @param accumulate 1 adds to y, 0 overwrites it
   * @param scratch `productScratchBytes()`
   */
  productNT(
    x: number,
    xStride: number,
    w: number,
    wStride: number,
    y: number,
    yStride: number,
    tokens: number,
    rows: number,
    columns: number,
    accumulate: number,
    scratch: number,
  ): void;
  /** dx[t][c] (+)= Σ_r dy[t][r] w[r][c]; else as productNT. */
  productNN(
    dy: number,
    dyStride: number,
    w: number,
    wStride: number,
    dx: number,
    dxStride: number,
    tokens: number,
    rows: number,
    columns: number,
    accumulate: number,
    scratch: number,
  ): void;
  /** dw[r][c] += Σ_t dy[t][r] x[t][c]; else as productNT. */
  productTN(
    dy: number,
    dyStride: number,
    x: number,
    xStride: number,
    dw: number,
    dwStride: number,
    tokens: number,
    rows: number,
    columns: number,
    scratch: number,
  ): void;
  productScratchBytes(): number;

  /**
   * dx (+)= the gradient of one vector of y = x / rms(x) × weight. `columns` is a multiple of 4.
   * @param weight 0: y = x / rms(x)
   * @param accumulate 1 adds to dx, 0 overwrites it (dx may then be dy)
   */
  rmsNormBackward(
    x: number,
    weight: number,
    dy: number,
    dx: number,
    columns: number,
    eps: number,
    accumulate: number,
  ): void;
  /** dw[c] += Σ_t dy[t][c] x[t][c] / rms(x[t]) for firstColumn ≤ c < endColumn; x, dy: [tokens][columns]. */
  rmsNormWeightBackward(
    x: number,
    dy: number,
    dw: number,
    tokens: number,
    columns: number,
    firstColumn: number,
    endColumn: number,
    eps: number,
  ): void;

  /** inner = silu(gate) × up, all [n], n a multiple of 4. */
  siluMultiply(gate: number, up: number, inner: number, n: number): void;
  /** dGate and dUp, overwritten, which may be gate, up or dInner; n a multiple of 4. */
  siluMultiplyBackward(gate: number, up: number, dInner: number, dGate: number, dUp: number, n: number): void;

  /** The transpose of `ropeInterleaved` (engine/kernels.ts), in place: turns gradients back. */
  ropeInterleavedBackward(dx: number, angles: number, heads: number, dim: number): void;

  /**
   * Causal attention of one sequence's query heads that share one key/value head. Queries carry the 1/√dim factor.
   * @param q token t, head h at q + (t × qStride + h × dim) floats
   * @param k, v token t at k + t × kvStride floats
   * @param out as q; overwritten
   * @param logSums f32[heads][tokens], overwritten: the logarithm of each row's sum of e^score, for the way back
   * @param dim a multiple of 4
   * @param chunk tokens see nothing before the last multiple of this position; 0: they see all before them
   * @param scratch `attentionScratchBytes()`
   */
  attentionForward(
    q: number,
    qStride: number,
    k: number,
    v: number,
    kvStride: number,
    out: number,
    logSums: number,
    heads: number,
    tokens: number,
    dim: number,
    chunk: number,
    scratch: number,
  ): void;
  /** dq, dk and dv, overwritten, with the strides of q, k and v; out and dOut have q's. Else as attentionForward. */
  attentionBackward(
    q: number,
    qStride: number,
    k: number,
    v: number,
    kvStride: number,
    out: number,
    dOut: number,
    logSums: number,
    dq: number,
    dk: number,
    dv: number,
    heads: number,
    tokens: number,
    dim: number,
    chunk: number,
    scratch: number,
  ): void;
  attentionScratchBytes(): number;

  /**
   * −log p[target] of one row of logits, which become their gradient × gradientScale. Any vocab, at least 1.
   * @returns within 1e-6 of what exact arithmetic finds, relative to max(1, result)
   */
  crossEntropy(logits: number, target: number, gradientScale: number, vocab: number): number;

  /**
   * y[i] = 0 where a hash of the seed and counter + i is below `threshold`, else x[i] × keepScale. y may be x.
   * @param threshold probability × 2^32
   * @param counter of the first element, modulo 2^32; seeds are 32 bits each
   */
  dropout(
    x: number,
    y: number,
    n: number,
    keepScale: number,
    threshold: number,
    seedLow: number,
    seedHigh: number,
    counter: number,
  ): void;

  /**
   * One step of AdamW (Loshchilov & Hutter 2019), elements in any division. Gradients stay as they are.
   * @param correction1, correction2 1 − beta1^step, 1 − beta2^step
   * @param gradientScale factor of every gradient (clipping)
   */
  adamw(
    value: number,
    gradient: number,
    m: number,
    v: number,
    n: number,
    learningRate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    decay: number,
    correction1: number,
    correction2: number,
    gradientScale: number,
  ): void;
  /**
   * As adamw, with m and v kept as one byte each and one scale per 256 elements (Dettmers et al. 2022). Callers divide
   * at multiples of 256 elements.
   * @param m, v u8[n]
   * @param mScales, vScales f32[⌈n / 256⌉]; moments whose scales are 0 are 0, whatever their bytes
   * @param tables `eightBitTables()` (eight-bit-maps.ts), in this memory
   * @param scratch 2048 bytes
   */
  adamw8bit(
    value: number,
    gradient: number,
    m: number,
    v: number,
    mScales: number,
    vScales: number,
    n: number,
    learningRate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    decay: number,
    correction1: number,
    correction2: number,
    gradientScale: number,
    tables: number,
    scratch: number,
  ): void;

  /** Σ x² in double precision, in one order that depends on n alone. */
  sumOfSquares(x: number, n: number): number;
}

/** `relaxed` has fused multiply-adds: its results differ from `plain`'s in their last bits. */
export type TrainBuild = 'relaxed' | 'plain';

const FILES = { relaxed: '#train-kernels-relaxed', plain: '#train-kernels' } as const;

const require = createRequire(import.meta.url);

/** The build for this machine: products of one differ from the other's in their last bits. */
export async function bestTrainBuild(): Promise<TrainBuild> {
  return (await bestSimdBuild()) === 'plain' ? 'plain' : 'relaxed';
}

/** Compiles the training kernels; `build` is chosen for this machine when absent. Modules can be sent to workers. */
export async function compileTrainKernels(build?: TrainBuild): Promise<WebAssembly.Module> {
  const chosen = build ?? (await bestTrainBuild());
  return WebAssembly.compile(await readFile(require.resolve(FILES[chosen])));
}

/** One instance of the training kernels over one shared memory. */
export function instantiateTrainKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): TrainKernels {
  const abort = () => {
    throw new Error('a kernel aborted');
  };
  return new WebAssembly.Instance(module, { env: { memory, abort } }).exports as unknown as TrainKernels;
}
