/** Tests the state of files after failed calls of `write` and `edit`. */
import { execFileSync } from 'node:child_process';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ownDraftPrefix, toolLimits } from '@coppice/contracts';
import { beforeEach, describe, expect, test } from 'vitest';
import { testLaunchers, useEngineFixture } from '../engine/conformance-fixture.ts';
import type { Sandbox as TestSandbox } from '../engine/conformance-fixture.ts';
import type { SandboxSpec } from '../engine/port.ts';
import { edit, write } from './files.ts';
import type { Sandbox } from './tool.ts';

describe.each(Object.entries(testLaunchers))('files on %s', (engineName, makeLauncher) => {
  const fixture = useEngineFixture(engineName, makeLauncher);
  let made: TestSandbox;
  let sandbox: Sandbox;
  beforeEach(() => use({}));
  async function use(overrides: Partial<SandboxSpec>): Promise<void> {
    made = await fixture().sandbox(overrides);
    const exec: Sandbox['exec'] = (argv, options) => fixture().engine.exec(made.id, argv, options);
    sandbox = { resultCharactersMax: toolLimits.resultCharactersMax, exec };
  }
  const host = (path: string) => join(made.workspace, path);

  // Only root can mount the small file system.
  test.skipIf(process.getuid?.() !== 0)(
    'on a full disk, write and edit fail and leave the file unchanged',
    async () => {
      const folder = await fixture().folder('small-disk');
      const { uid, gid } = fixture().launcher.defaultUser();
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=64k,uid=${uid},gid=${gid}`, 'none', folder]);
      try {
        await use({ workspace: { source: folder, readOnly: false } });
        await write(sandbox, { path: 'file', content: 'as before' });
        await made.exec('head -c 1000000 /dev/zero > filler');
        for (const answer of [
          await write(sandbox, { path: 'file', content: 'another' }),
          await write(sandbox, { path: 'new', content: 'x'.repeat(100_000) }),
          await edit(sandbox, { path: 'file', oldText: 'as', newText: 'not as' }),
        ])
          expect(answer).toEqual({ isError: true, content: expect.stringContaining('No space left') as string });
        expect(await readFile(join(folder, 'file'), 'utf8')).toBe('as before');
        expect((await readdir(folder)).toSorted()).toEqual(['file', 'filler']);
      } finally {
        execFileSync('umount', ['--lazy', folder]);
      }
    },
  );

  test("write replaces a link's target, and removes the draft of an interrupted write", async () => {
    await made.exec('echo old > target; chmod 750 target; ln -s target link; mkfifo pipe');
    await made.exec(`echo part > ${ownDraftPrefix}tool-left`);
    expect((await write(sandbox, { path: 'link', content: 'new' })).content).toBe('link replaced: 3 bytes');
    expect(await readFile(host('target'), 'utf8')).toBe('new');
    expect((await stat(host('target'))).mode & 0o777).toBe(0o750);
    expect((await lstat(host('link'))).isSymbolicLink()).toBe(true);
    expect((await write(sandbox, { path: 'pipe', content: '' })).content).toMatch(/it is not a regular file/);
    expect((await readdir(made.workspace)).toSorted()).toEqual(['link', 'pipe', 'target']);
  });
});
