import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { eventually, temporaryRepository } from '@coppice/testing';
import { describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests that tasks don't fill the disk, although each leaves a large folder that can't be imported. */

const folderMib = 20;
const rescueMib = 50;
const names = ['one', 'two', 'three', 'four', 'five'];

const script = `
default:
  turns:
    - toolCalls: [{ name: run, arguments: { command: "head -c ${folderMib}M /dev/urandom > large; touch 'git~1'" } }]
    - toolCalls: [{ name: finish, arguments: { summary: Done. } }]
`;

const runFile = promisify(execFile);
const mebibytesOf = async (folder: string) => Number((await runFile('du', ['-sm', folder])).stdout.split('\t')[0]);

test('a run is rejected while the disk has less than the minimum free space, and the error lists what uses the disk', async () => {
  await using repository = await temporaryRepository();
  const environment = { COPPICE_DISK_FREE_MIB: String(1024 ** 3) };
  await using stack = await Stack.start({ engine: 'none', script, environment });
  const task = { name: 'one', description: 'one', prompt: 'p', agent: { kind: 'loop' }, model: stack.model };
  const request = { repository: repository.path, baseBranch: 'main', tasks: [{ ...task, verify: false }] };
  await expect(stack.submit(request)).rejects.toMatchObject({
    code: 'disk-full',
    retryable: true,
    message: expect.stringMatching(
      /the disk of .*worktree-service on node-1 has .* GiB free, and .* are kept free; (Coppice uses: .*; )?to free it, delete/,
    ) as string,
  });
}, 120_000);

for (const engine of ['bubblewrap', 'docker'] as const) {
  const absent = await whyWithout(engine);
  describe.skipIf(absent !== null)(`${engine}${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
    test('the kept folders of failed tasks stay within their limit: the oldest are deleted, and the newest is there', async () => {
      await using repository = await temporaryRepository();
      await using stack = await Stack.start({
        engine,
        script,
        environment: { COPPICE_RESCUE_MIB: String(rescueMib) },
      });
      const { runId } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        concurrency: 1,
        tasks: names.map((name) => ({
          name,
          description: name,
          prompt: name,
          agent: { kind: 'loop' },
          model: stack.model,
          verify: false,
        })),
      });
      await stack.ended(runId);
      const tasks = await stack.tasks(runId);
      const folders = names.map((name) => tasks.get(name)?.rescue ?? '');
      for (const name of names)
        expect(tasks.get(name)).toMatchObject({ state: 'failed', failure: { code: 'import-refused' } });
      const rescue = path.join(stack.dataFolder, 'worktree-service/rescue');
      await eventually(async () => expect(await mebibytesOf(rescue)).toBeLessThanOrEqual(rescueMib));
      const newest = folders.slice(-Math.floor(rescueMib / folderMib));
      expect((await readdir(rescue)).toSorted()).toEqual(newest.map((folder) => path.basename(folder)).toSorted());
      await access(path.join(newest.at(-1) ?? '', 'large'));
    }, 240_000);
  });
}
