import { defineConfig } from 'vitest/config';
import { isolatedUnitTests, unitTests } from './setup/test-isolation.ts';
import { SlowestFirst } from './setup/test-order.ts';

const isolated = isolatedUnitTests();

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'isolated',
          include: [...isolated, ...['deploy', 'setup', 'test'].map((folder) => `${folder}/**/*.test.ts`)],
        },
      },
      {
        extends: true,
        // They run after the others. Most of their time they wait for timers and for servers.
        test: {
          name: 'shared',
          include: unitTests,
          exclude: ['**/node_modules/**', ...isolated],
          isolate: false,
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
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
