// Compiles the kernels of assembly/ three times: with plain SIMD128, with relaxed SIMD, and for processors whose
// relaxed SIMD multiplies and accumulates bytes in one instruction. Besides, what finds out whether this one does,
// the block encoders, and the training kernels, with plain and with relaxed SIMD.
import { mkdir } from 'node:fs/promises';
import asc from 'assemblyscript/asc';

const COMMON = ['--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert', '--noColors'];
const SHARED_MEMORY = [
  '--importMemory',
  '--sharedMemory',
  // One WebAssembly memory is at most 65,536 pages of 64 KiB.
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
  '--enable',
  'threads',
];
const KERNELS = ['assembly/index.ts', ...SHARED_MEMORY];
const TRAIN = ['assembly/train/index.ts', ...SHARED_MEMORY];

await mkdir('dist', { recursive: true });
const RELAXED = ['--enable', 'relaxed-simd'];
const builds = [
  ['dist/kernels.wasm', ...KERNELS, '--use', 'ACCUMULATING_DOT=0'],
  ['dist/kernels-relaxed.wasm', ...KERNELS, ...RELAXED, '--use', 'ACCUMULATING_DOT=0'],
  ['dist/kernels-dot.wasm', ...KERNELS, ...RELAXED, '--use', 'ACCUMULATING_DOT=1'],
  ['dist/dot-probe.wasm', 'assembly/dot-probe.ts', ...RELAXED],
  ['dist/encoders.wasm', 'assembly/encode/index.ts'],
  ['dist/train.wasm', ...TRAIN],
  ['dist/train-relaxed.wasm', ...TRAIN, ...RELAXED],
];
for (const [outFile, ...flags] of builds) {
  const { error } = await asc.main([...COMMON, '--outFile', outFile, ...flags], { stderr: process.stderr });
  if (error) {
    console.error(`kernels: ${outFile} was not built: ${error.message}`);
    process.exit(1);
  }
}
