import { statfs } from 'node:fs/promises';
import { observeGauge } from '@coppice/telemetry';

/**
 * Reports how full the file system of a folder is, for as long as the service runs.
 * @returns ends it
 */
export const observeDisk = (folder: string, node: string): (() => void) =>
  observeGauge('system.filesystem.usage', async () => {
    const { bsize, blocks, bfree, bavail } = await statfs(folder);
    const reading = (state: string, count: number) => ({
      value: count * bsize,
      labels: { node, 'system.filesystem.state': state },
    });
    return [reading('used', blocks - bfree), reading('free', bavail), reading('reserved', bfree - bavail)];
  });
