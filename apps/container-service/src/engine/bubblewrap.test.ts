import { accessSync, constants } from 'node:fs';
import { describeConformance } from './conformance.ts';
import { bubblewrapLauncher } from './bubblewrap.ts';
import { enforceable, type Enforceable } from './port.ts';

const program = process.env['COPPICE_BWRAP'];

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const root = process.getuid?.() === 0;
/** Limits on all processes of a command together need control groups. */
const controlGroups = root && (isWritable('/sys/fs/cgroup/memory') || isWritable('/sys/fs/cgroup/cgroup.procs'));
const missing: Enforceable[] = [
  ...(root ? [] : (['ownUid'] as const)),
  ...(controlGroups ? [] : (['memory', 'swap', 'cpu'] as const)),
];

await describeConformance({
  engine: 'bubblewrap',
  makeLauncher: ({ stateFolder, imagesFolder }) =>
    bubblewrapLauncher({ stateFolder, imagesFolder, ...(program === undefined ? {} : { program }) }),
  mustEnforce: enforceable.filter((name) => !missing.includes(name)),
});
