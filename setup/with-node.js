/**
 * Runs a script with this process's Node or, if that Node is too old, with the Node in the cache.
 *   node setup/with-node.js SCRIPT [ARGUMENT …]
 * The script inherits the standard streams. This process passes signals on to the script and exits with the script's
 * exit code.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { binFolder, compiledFolder } from './paths.js';
import { isExecutable } from './run.js';
import { isAtLeast, nodeVersionMin, parseVersion } from './versions.js';

const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']);

const node = chooseNode();
if (node === undefined) {
  process.stderr.write(
    `Node ${nodeVersionMin} or newer is needed and set-up has not fetched it yet: run "node setup/setup.js" first.\n`,
  );
  process.exit(1);
}
const env = { NODE_COMPILE_CACHE: compiledFolder, ...process.env };
const child = spawn(node, process.argv.slice(2), { stdio: 'inherit', env });
for (const signal of signals) {
  process.on(signal, () => {
    // A terminal sends the signal of Ctrl-C to the whole process group, so the child already has it. A second signal
    // could abort the child's clean shutdown.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  });
}
child.on('error', (error) => {
  process.stderr.write(`${node} could not be started: ${error.message}\n`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
});

function chooseNode() {
  if (isAtLeast(parseVersion(process.version) ?? '0.0.0', nodeVersionMin)) return process.execPath;
  const cached = join(binFolder, 'node');
  return isExecutable(cached) ? cached : undefined;
}
