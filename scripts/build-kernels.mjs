// Compiles the kernels of assembly/ twice, with relaxed SIMD and with plain SIMD128 for engines that lack it, and
// the block encoders once.
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
const builds = [
  ['dist/kernels.wasm', ...KERNELS],
  ['dist/kernels-relaxed.wasm', ...KERNELS, '--enable', 'relaxed-simd'],
  ['dist/encoders.wasm', 'assembly/encode/index.ts'],
];
for (const [outFile, ...flags] of builds) {
  const { error } = await asc.main([...COMMON, '--outFile', outFile, ...flags], { stderr: process.stderr });
  if (error) {
    console.error(`kernels: ${outFile} was not built: ${error.message}`);
    process.exit(1);
  }
}
