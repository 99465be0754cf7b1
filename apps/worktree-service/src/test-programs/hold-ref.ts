/** Starts a git process that locks a ref of a store. On SIGUSR2, git moves the ref and the program ends. */
import { once } from 'node:events';
import { join } from 'node:path';
import { Git } from '../git/git.ts';

const [gitDir = '', ref = '', commit = ''] = process.argv.slice(2);
const git = new Git(join(gitDir, '../hold-ref.config'));
await git.start();
const running = git.process(['update-ref', '--stdin'], { gitDir, writersFile: gitDir.replace(/git$/, 'writers') });
running.stdin.write(`start\nupdate ${ref} ${commit}\nprepare\n`);
let said = '';
running.stdout.on('data', (chunk: Buffer) => {
  said += chunk.toString();
  if (said.includes('prepare: ok')) process.stdout.write('held\n');
});
const hourMs = 3_600_000;
const alive = setTimeout(() => {}, hourMs);
await once(process, 'SIGUSR2');
clearTimeout(alive);
running.stdin.end('commit\n');
await running.ended;
process.exit(0);
