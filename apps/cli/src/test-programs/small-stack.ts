/** A stack with one small service instead of the real ones, for tests of start and stop. */
import { homeFrom } from '../stack/home.ts';
import { natsServerProgram } from '../stack/programs.ts';
import { StackRuns, runStack } from '../stack/run-stack.ts';
import { stackRunsExitCode } from '../stack/start-stack.ts';

const stopping = new AbortController();
/**
 * Process id of the test. The stack ends when the test's process ends, since a test that fails may not stop its stack.
 */
const testProcess = Number(process.env['SMALL_STACK_TEST_PROCESS']);
const watch = setInterval(() => {
  try {
    process.kill(testProcess, 0);
  } catch {
    stopping.abort(new Error('its test has ended'));
  }
}, 1_000);
watch.unref();
process.on('SIGTERM', () => stopping.abort(new Error('a stop was requested')));
try {
  await runStack({
    home: homeFrom(),
    natsProgram: natsServerProgram(),
    services: [
      {
        name: 'small-service',
        makesResources: true,
        start: async ({ bus, name, version }) => {
          if (process.env['SMALL_STACK_FAILS'] === 'yes') throw new Error('this service never starts');
          const service = await bus.serve({ name, version, description: 'for tests', endpoints: [] });
          return { line: 'as small as can be', engine: 'none', stop: () => service.stop() };
        },
      },
    ],
    signal: stopping.signal,
  });
} catch (error) {
  process.exitCode = error instanceof StackRuns ? stackRunsExitCode : 3;
  if (!(error instanceof StackRuns)) console.error(error);
}
