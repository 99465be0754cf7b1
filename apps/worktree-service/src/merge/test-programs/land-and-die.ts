/** Lands with the given JSON input, and kills itself with SIGKILL at the given crash point. */
import type { CrashPoint } from '../../context.ts';
import { openContext } from '../../open.ts';
import { land, type LandInput } from '../land.ts';

const [dataFolder = '', point = '', input = ''] = process.argv.slice(2);
const context = await openContext({
  dataFolder,
  node: 'node1',
  reached: (at: CrashPoint) => {
    if (at === point) process.kill(process.pid, 'SIGKILL');
  },
});
await land(context, JSON.parse(input) as LandInput);
process.stdout.write(`never reached ${point}\n`);
