import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, readFile, realpath, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shortHash } from '@coppice/contracts';
import { codeOf } from './engine/reason.ts';

export const serviceName = 'container-service';

/** Where the stack of a data folder keeps what. The folder is made where it is missing. */
export async function placeOf(configured: string) {
  const stateFolder = join(configured, serviceName);
  await mkdir(stateFolder, { recursive: true, mode: 0o755 });
  const real = await realpath(configured);
  return {
    dataFolder: { configured, real },
    stateFolder: join(real, serviceName),
    stackId: await stackIdIn(stateFolder),
  };
}

/**
 * What tells the containers of this stack from another's on the same engine. Kept in a file: in docker-compose the data folder has the same
 * path in every stack. Of several processes that start at once the first one's holds.
 */
async function stackIdIn(stateFolder: string): Promise<string> {
  const file = join(stateFolder, 'stack-id');
  if (!existsSync(file)) {
    const draft = `${file}.${randomUUID()}`;
    try {
      await writeFile(draft, `${shortHash('stack', randomUUID())}\n`);
      await link(draft, file);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    } finally {
      // On a full disk it may not have been made.
      await unlink(draft).catch(() => undefined);
    }
  }
  return (await readFile(file, 'utf8')).trim();
}
