import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { chooseEngine } from './choose-engine.ts';

test('if no engine works, the error says what was tried, why it failed and what to do, and none is never chosen instead', async () => {
  await using folder = await temporaryFolder('choose-engine');
  const choice = chooseEngine({
    choice: 'auto',
    dataFolder: folder.path,
    stateFolder: path.join(folder.path, 'state'),
    stackId: 'choose',
    dockerSocket: path.join(folder.path, 'no.sock'),
    bubblewrapProgram: path.join(folder.path, 'no-bwrap'),
  });
  await expect(choice).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringMatching(
      /docker: .*no\.sock.*bubblewrap: .*no-bwrap.*COPPICE_ENGINE=none.*--engine none/s,
    ) as string,
  });
});

test('engine none is available on request, and reports that it isolates nothing', async () => {
  await using folder = await temporaryFolder('choose-engine');
  // Under root, commands run as another user. That user must be able to enter the folder.
  await chmod(folder.path, 0o755);
  const { engine, report } = await chooseEngine({
    choice: 'none',
    dataFolder: folder.path,
    stateFolder: path.join(folder.path, 'state'),
    stackId: 'choose',
  });
  expect(report.engine).toBe('none');
  for (const name of ['networkNone', 'readOnlyRoot', 'memory', 'pids', 'disk'] as const) {
    expect(report.enforces[name]).toMatchObject({ enforced: false });
  }
  await engine.close();
});

test('under root, engine none reports that its user can not reach the data folder', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root runs commands as another user');
  await using folder = await temporaryFolder('choose-engine');
  const choice = chooseEngine({
    choice: 'none',
    dataFolder: folder.path,
    stateFolder: path.join(folder.path, 'state'),
    stackId: 'choose',
  });
  await expect(choice).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringMatching(/workspace and home.*Permission denied/s) as string,
  });
});
