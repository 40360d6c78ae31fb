// Compiles the kernels of assembly/ three times: with plain SIMD128, with relaxed SIMD, and for processors whose
// relaxed SIMD multiplies and accumulates bytes in one instruction. Besides, what finds out whether this one does, and
// the block encoders.
import { mkdir } from 'node:fs/promises';
import asc from 'assemblyscript/asc';

const COMMON = ['--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert', '--noColors'];
const KERNELS = [
  'assembly/index.ts',
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

await mkdir('dist', { recursive: true });
const RELAXED = ['--enable', 'relaxed-simd'];
const builds = [
  ['dist/kernels.wasm', ...KERNELS, '--use', 'ACCUMULATING_DOT=0'],
  ['dist/kernels-relaxed.wasm', ...KERNELS, ...RELAXED, '--use', 'ACCUMULATING_DOT=0'],
  ['dist/kernels-dot.wasm', ...KERNELS, ...RELAXED, '--use', 'ACCUMULATING_DOT=1'],
  ['dist/dot-probe.wasm', 'assembly/dot-probe.ts', ...RELAXED],
  ['dist/encoders.wasm', 'assembly/encode/index.ts'],
];
for (const [outFile, ...flags] of builds) {
  const { error } = await asc.main([...COMMON, '--outFile', outFile, ...flags], { stderr: process.stderr });
  if (error) {
    console.error(`kernels: ${outFile} was not built: ${error.message}`);
    process.exit(1);
  }
}
