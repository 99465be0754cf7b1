import { defineConfig } from 'vitest/config';
import { SlowestFirst } from './setup/test-order.ts';

export default defineConfig({
  test: {
    include: [
      'libs/**/*.test.ts',
      'apps/**/*.test.ts',
      'contract/**/*.test.ts',
      'deploy/**/*.test.ts',
      'setup/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    environment: 'node',
    // Tests provoke warnings by the hundred; whoever looks for a cause asks for them.
    env: { COPPICE_LOG_LEVEL: process.env['COPPICE_LOG_LEVEL'] ?? 'error' },
    // Tests start real servers, sandboxes and processes, and wait for them: on two cores a third one uses what the two leave idle.
    maxWorkers: 3,
    // What hangs is ended by then. Not a measure: beside two others that build images, a test may get a tenth of the machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    // A flake is a fault: nothing is tried again.
    retry: 0,
    sequence: { sequencer: SlowestFirst },
    globalSetup: ['setup/test-environment.ts'],
    reporters: ['default', './setup/skipped-tests-reporter.ts'],
  },
});
