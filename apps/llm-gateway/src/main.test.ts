import path from 'node:path';
import { startNatsServer, startProcess } from '@coppice/testing';
import { expect, test } from 'vitest';

test('the process starts, and ends in order', async () => {
  await using nats = await startNatsServer({ auth: true });
  await using child = startProcess(path.join(import.meta.dirname, 'main.ts'), [], {
    ...nats.environment,
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
  });
  await child.waitForLine('"msg":"started"');
  child.signal('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

test('a wrong variable of its own is named', async () => {
  await using child = startProcess(path.join(import.meta.dirname, 'main.ts'), [], {
    COPPICE_NODE: 'here',
    COPPICE_LOG_LEVEL: 'info',
    COPPICE_TURNS_MAX: 'all',
  });
  expect(await child.exited).toEqual({ code: 78, signal: null });
  expect(child.lines.map((line) => line.text).join('\n')).toContain(
    'COPPICE_TURNS_MAX: expected an integer from 1 to 1000',
  );
});
