/** Holds a lock until it is killed. */
import { Locks } from '../lock.ts';

const [folder = '', name = ''] = process.argv.slice(2);
const hourMs = 3_600_000;
await new Locks(folder).hold(name, async () => {
  process.stdout.write('held\n');
  await new Promise((resolve) => {
    setTimeout(resolve, hourMs);
  });
});
