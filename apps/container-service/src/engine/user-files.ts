import { link, mkdir, unlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Mount } from './port.ts';
import { homeTarget } from './specification.ts';

/**
 * Returns mounts of `/etc/passwd` and `/etc/group` with an entry for the sandbox's user. Programs that look up their
 * user, such as git and ssh, fail for a uid without an entry.
 */
export async function userFileMounts(stateFolder: string, user: { uid: number; gid: number }): Promise<Mount[]> {
  const folder = join(stateFolder, 'users', `${user.uid}-${user.gid}`);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const passwd = [
    'root:x:0:0:root:/root:/bin/sh',
    `agent:x:${user.uid}:${user.gid}:agent:${homeTarget}:/bin/sh`,
    'nobody:x:65534:65534:nobody:/nonexistent:/bin/false',
  ];
  const group = ['root:x:0:', `agent:x:${user.gid}:`, 'nogroup:x:65534:'];
  const mounts: Mount[] = [];
  for (const [name, lines] of Object.entries({ passwd, group })) {
    const source = join(folder, name);
    if (!existsSync(source)) await writeOnce(source, `${lines.join('\n')}\n`);
    mounts.push({ source, target: `/etc/${name}`, readOnly: true });
  }
  return mounts;
}

/**
 * Writes a file atomically unless it exists. An existing file is never replaced, since a sandbox that is just starting could not mount the
 * replaced file.
 */
async function writeOnce(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, text, { mode: 0o644 });
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await unlink(draft);
}
