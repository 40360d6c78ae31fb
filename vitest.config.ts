import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
    // Engine tests start worker threads of their own; more than two files at once only makes them wait.
    maxWorkers: 2,
  },
});
