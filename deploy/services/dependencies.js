/**
 * Copies the npm packages that the services need from this checkout to .cache/image-dependencies. Images can then be
 * built without access to the npm registry. Run `node deploy/services/dependencies.js`, then build the images with
 * COPPICE_DEPENDENCIES=given. Does nothing if a copy from the same lockfile exists.
 */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const projectFolder = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const target = join(projectFolder, '.cache/image-dependencies');
const keyFile = `${target}.key`;
const key = createHash('sha256')
  .update(fs.readFileSync(join(projectFolder, 'package-lock.json')))
  .update(fs.readFileSync(fileURLToPath(import.meta.url)))
  .digest('hex');
if (fs.existsSync(target) && fs.existsSync(keyFile) && fs.readFileSync(keyFile, 'utf8') === key) {
  process.stdout.write(`${target}: unchanged\n`);
  process.exit(0);
}

// Lists the installed packages except development dependencies. npm's exit code is ignored, since set-up has already checked the packages.
const listed = spawnSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: projectFolder, encoding: 'utf8' });
const folders = listed.stdout
  .split('\n')
  .map((folder) => relative(projectFolder, folder))
  .filter((folder) => /(^|\/)node_modules\//.test(folder));
if (folders.length === 0) throw new Error(`npm ls named no package: ${listed.stderr || listed.error?.message}`);

const work = `${target}.${process.pid}`;
// The workspace's own packages are symbolic links in node_modules and are copied as links.
for (const folder of folders) {
  fs.cpSync(join(projectFolder, folder), join(work, folder), { recursive: true, verbatimSymlinks: true });
}
// Writes the key file last. If this run is interrupted before, the next run finds no key file and copies everything
// again.
fs.rmSync(keyFile, { force: true });
fs.rmSync(target, { recursive: true, force: true });
fs.renameSync(work, target);
fs.writeFileSync(keyFile, key);
process.stdout.write(`${target}: ${folders.length} packages\n`);
