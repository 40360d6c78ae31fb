// Compiles assembly/ twice: with relaxed SIMD, and with plain SIMD128 for engines that lack it.
import { mkdir } from 'node:fs/promises';
import asc from 'assemblyscript/asc';

const COMMON = [
  'assembly/index.ts',
  '--runtime', 'stub',
  '--importMemory', '--sharedMemory',
  // One WebAssembly memory is at most 65,536 pages of 64 KiB.
  '--initialMemory', '1', '--maximumMemory', '65536',
  '--enable', 'simd', '--enable', 'threads',
  '-O3', '--noAssert', '--noColors',
];

await mkdir('dist', { recursive: true });
const builds = [
  ['dist/kernels.wasm'],
  ['dist/kernels-relaxed.wasm', '--enable', 'relaxed-simd'],
];
for (const [outFile, ...flags] of builds) {
  const { error } = await asc.main([...COMMON, '--outFile', outFile, ...flags], { stderr: process.stderr });
  if (error) {
    console.error(`kernels: ${outFile} was not built: ${error.message}`);
    process.exit(1);
  }
}
