import { defineConfig } from 'vitest/config';

const conditions = ['@perkey/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts', 'bench/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '.cache/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Tests start real servers and node processes: more workers than this starve each other on a small machine.
    maxWorkers: 2,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/test-report.json' },
  },
});
