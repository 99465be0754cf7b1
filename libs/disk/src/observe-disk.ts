import { statfs } from 'node:fs/promises';
import { observeGauge } from '@coppice/telemetry';

/**
 * Reports the usage of a folder's file system, in bytes and in inodes.
 * @returns a function that stops the reports
 */
export function observeDisk(folder: string, node: string): () => void {
  const labels = (state: string) => ({ node, 'system.filesystem.state': state });
  const ends = [
    observeGauge('system.filesystem.usage', async () => {
      const { bsize, blocks, bfree, bavail } = await statfs(folder);
      const reading = (state: string, count: number) => ({ value: count * bsize, labels: labels(state) });
      return [reading('used', blocks - bfree), reading('free', bavail), reading('reserved', bfree - bavail)];
    }),
    observeGauge('system.filesystem.inodes.usage', async () => {
      const { files, ffree } = await statfs(folder);
      return [
        { value: files - ffree, labels: labels('used') },
        { value: ffree, labels: labels('free') },
      ];
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
