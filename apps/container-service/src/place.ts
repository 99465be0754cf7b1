import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, readFile, realpath, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shortHash } from '@coppice/contracts';
import { codeOf } from './engine/reason.ts';

export const serviceName = 'container-service';

/** Returns the folders and the id of the stack that uses a data folder. Creates the service's state folder if it is missing. */
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
 * Reads or creates the id that separates this stack's containers from those of other stacks on the same engine. The id
 * is kept in a file and not derived from the path, since every stack in docker-compose has the same path. If several
 * processes start at once, they use the id of the first one.
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
      // If the disk is full, the draft may not exist.
      await unlink(draft).catch(() => undefined);
    }
  }
  return (await readFile(file, 'utf8')).trim();
}
