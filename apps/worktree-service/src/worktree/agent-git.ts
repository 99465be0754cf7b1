import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sandboxPaths } from '../layout.ts';
import { rawAttributes } from '../repository/store.ts';

/**
 * Writes the task's own git directory, which the agent uses in its sandbox. This directory borrows the objects of
 * origin.git by the path that the sandbox sees. The service never reads the directory.
 */
export function writeAgentGit(
  folder: string,
  parts: { branch: string; baseCommit: string; indexFile: string; objectFormat: string; originGit: string },
): void {
  for (const part of ['objects/info', 'objects/pack', 'refs/tags', 'info', join('refs/heads', parts.branch, '..')]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  const extension = parts.objectFormat === 'sha1' ? '' : `[extensions]\n\tobjectFormat = ${parts.objectFormat}\n`;
  writeFileSync(
    join(folder, 'config'),
    `[core]\n\trepositoryFormatVersion = ${extension === '' ? 0 : 1}\n\tbare = false\n\tfileMode = true\n\tautocrlf = false\n` +
      `\tlogAllRefUpdates = true\n[user]\n\tname = Coppice agent\n\temail = agent@coppice.invalid\n[gc]\n\tauto = 0\n${extension}`,
  );
  writeFileSync(join(folder, 'HEAD'), `ref: refs/heads/${parts.branch}\n`);
  writeFileSync(join(folder, 'refs/heads', parts.branch), `${parts.baseCommit}\n`);
  writeFileSync(join(folder, 'objects/info/alternates'), `${sandboxPaths.origin}/objects\n`);
  writeFileSync(join(folder, 'info/attributes'), rawAttributes);
  writeFileSync(join(folder, 'info/exclude'), '');
  copyFileSync(parts.indexFile, join(folder, 'index'));
  chmodSync(join(folder, 'index'), 0o644);
  const shallow = join(parts.originGit, 'shallow');
  if (existsSync(shallow)) copyFileSync(shallow, join(folder, 'shallow'));
}
