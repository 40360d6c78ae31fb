import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { CriaError } from '../base/errors.js';

/**
 * The exports of the compiled kernels (assembly/), one instance per arena. Addresses and byte counts are numbers
 * below 2^32; WebAssembly wraps them to its 32-bit registers.
 */
export interface Kernels {
  setTables(address: number): void;
  /** Greatest unsigned code of weights that products with activations in bytes take: 127, or 255 of the build `dot`. */
  greatestCode(): number;
  /** To be called once, before all else. */
  prepare(): void;
  unpack(type: number, source: number, codes: number, scales: number, mins: number, blocks: number): void;
  unpackFloat(type: number, source: number, target: number, count: number): void;
  dequantizeRow(
    type: number,
    source: number,
    target: number,
    columns: number,
    blocks: number,
    group: number,
    hasMins: number,
    scratch: number,
  ): void;
  quantizeActivations(x: number, bytes: number, target: number, stride: number, groups: number): void;
  matmulQuantized(
    type: number,
    w: number,
    rowBytes: number,
    rows: number,
    columns: number,
    blocks: number,
    group: number,
    hasMins: number,
    minCode: number,
    maxCode: number,
    x: number,
    tokens: number,
    y: number,
    yStride: number,
    accumulate: number,
    scratch: number,
  ): void;
  /** Packed weights (src/quant/packed-layout.ts): what each takes is said in assembly/packed/index.ts. */
  packPanel(
    form: number,
    source: number,
    rowBytes: number,
    columns: number,
    target: number,
    scratch: number,
  ): void;
  multiplyPanels(
    form: number,
    panels: number,
    count: number,
    columns: number,
    x: number,
    tokens: number,
    y: number,
    yStride: number,
    accumulate: number,
    scratch: number,
  ): void;
  unpackPanel(form: number, panel: number, columns: number, scratch: number): void;
  matmulFloat(
    type: number,
    w: number,
    rowBytes: number,
    rows: number,
    columns: number,
    x: number,
    tokens: number,
    y: number,
    yStride: number,
    accumulate: number,
    scratch: number,
  ): void;
  attendSpan(
    keyType: number,
    valueType: number,
    q: number,
    qStride: number,
    heads: number,
    tokens: number,
    dim: number,
    k: number,
    keyBytes: number,
    v: number,
    valueBytes: number,
    past: number,
    keys: number,
    partial: number,
    scratch: number,
  ): void;
  foldSpans(
    total: number,
    partials: number,
    stride: number,
    count: number,
    rows: number,
    dim: number,
    scratch: number,
  ): void;
  finishAttention(
    total: number,
    heads: number,
    tokens: number,
    dim: number,
    out: number,
    outStride: number,
  ): void;
  loadCache(type: number, source: number, rowBytes: number, target: number, rows: number, n: number): void;
  storeCache(type: number, x: number, target: number, n: number): void;
  rmsNorm(x: number, weight: number, y: number, n: number, eps: number): void;
  ropeInterleaved(x: number, angles: number, heads: number, dim: number): void;
  scale(x: number, factor: number, n: number): void;
  scaleInto(x: number, y: number, factor: number, n: number): void;
  add(x: number, y: number, n: number): void;
  siluMultiply(gate: number, up: number, n: number): void;
  layerNorm(x: number, weight: number, bias: number, y: number, n: number, eps: number): void;
  gelu(x: number, n: number): void;
  copyRows(
    source: number,
    sourceStride: number,
    target: number,
    targetStride: number,
    rows: number,
    bytes: number,
  ): void;
  accumulateSquares(x: number, rowBytes: number, rows: number, sums: number, n: number): void;
}

/**
 * `relaxed` has fused multiply-adds and products of bytes; `dot` needs a processor, and an engine, that multiplies and
 * accumulates whole bytes in one instruction (assembly/dot-bytes.ts).
 */
export type SimdBuild = 'dot' | 'relaxed' | 'plain';

const SPEED = { plain: 0, relaxed: 1, dot: 2 } as const;
const FILES = { dot: '#kernels-dot', relaxed: '#kernels-relaxed', plain: '#kernels' } as const;

const require = createRequire(import.meta.url);
const compiled = new Map<SimdBuild, Promise<WebAssembly.Module>>();

async function compileBuild(build: SimdBuild): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(require.resolve(FILES[build])));
}

async function relaxedSimdWorks(): Promise<boolean> {
  const bytes = await readFile(require.resolve('#kernels-relaxed'));
  if (WebAssembly.validate(bytes)) return true;
  // Node 20 has relaxed SIMD behind a flag; later versions have it without one and do not know the flag.
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(bytes);
}

/** Whether products of bytes are exact with bytes from 128 on, be they unsigned or negative. */
async function dotsAreExact(): Promise<boolean> {
  const module = await WebAssembly.compile(await readFile(require.resolve('#dot-probe')));
  const fourProducts = new WebAssembly.Instance(module, {}).exports.fourProducts as (
    x: number,
    w: number,
  ) => number;
  const exact = (w: (code: number) => number) =>
    [-127, -1, 1, 127].every((x) =>
      [0, 1, 127, 128, 255].every((code) => fourProducts(x, code) === 4 * x * w(code)),
    );
  return exact((code) => code) || exact((code) => (code << 24) >> 24);
}

async function probe(): Promise<SimdBuild> {
  if (!(await relaxedSimdWorks())) return 'plain';
  return (await dotsAreExact()) ? 'dot' : 'relaxed';
}

let probed: Promise<SimdBuild> | undefined;

/** The fastest build of the kernels this JavaScript engine and processor can run. */
export function bestSimdBuild(): Promise<SimdBuild> {
  probed ??= probe();
  return probed;
}

/**
 * Compiles the kernels, once per build and process. `build` is probed for when absent.
 * @throws CriaError `simd-missing` where this machine cannot run `build`
 */
export async function compileKernels(build?: SimdBuild): Promise<WebAssembly.Module> {
  const best = await bestSimdBuild();
  const chosen = build ?? best;
  if (SPEED[chosen] > SPEED[best]) {
    const message = `this machine runs the SIMD builds up to '${best}', not '${chosen}'`;
    throw new CriaError('unsupported', 'simd-missing', message);
  }
  let module = compiled.get(chosen);
  if (!module) {
    module = compileBuild(chosen);
    compiled.set(chosen, module);
  }
  return module;
}

/** One instance of the kernels over one memory, reading its look-up tables at `tables`. */
export function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  tables: number,
): Kernels {
  const abort = () => {
    throw new Error('a kernel aborted');
  };
  const instance = new WebAssembly.Instance(module, { env: { memory, abort } });
  const kernels = instance.exports as unknown as Kernels;
  kernels.prepare();
  kernels.setTables(tables);
  return kernels;
}
