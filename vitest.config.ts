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
        // These files run after the isolated ones. They mostly wait, so two cores can run four workers.
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
    // Tests cause hundreds of warnings, which COPPICE_LOG_LEVEL=warn shows.
    env: { COPPICE_LOG_LEVEL: process.env['COPPICE_LOG_LEVEL'] ?? 'error' },
    // Tests often wait for processes that they start. A third worker uses this idle time of two cores.
    maxWorkers: 3,
    // Ends only tests that hang. The limit is high, since a test may get a tenth of the CPU time while two other tests
    // build images.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    // A flaky test is a defect.
    retry: 0,
    sequence: { sequencer: SlowestFirst },
    globalSetup: ['setup/test-environment.ts'],
    reporters: ['default', './setup/skipped-tests-reporter.ts'],
  },
});
