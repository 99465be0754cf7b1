/**
 * Unpacks Debian packages into the cache without installing them. Any user can do this. apt downloads the packages with
 * the machine's settings for proxy, mirrors and authentication, and `dpkg-deb -x` unpacks them. apt writes only to a
 * folder that is deleted afterwards.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporaryFolder, moveIntoPlace } from './cache.js';
import { lastLines } from './report.js';
import { findOnPath, run } from './run.js';

const aptTimeoutMs = 5 * 60_000;
const keyringFiles = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

export function hasApt() {
  return findOnPath('apt-get') !== undefined && findOnPath('dpkg-deb') !== undefined;
}

/**
 * @typedef {object} UnpackRequest
 * @property {readonly string[]} packages
 * @property {'machine' | 'sid'} from source of the packages. `machine` is the machine's own distribution, `sid` is
 * Debian's unstable distribution
 * @property {string} target folder for the unpacked packages. Its content is replaced.
 */

/**
 * @param {UnpackRequest} request
 * @returns {Promise<string | undefined>} undefined on success, otherwise the reason for the failure
 */
export async function unpackPackages(request) {
  if (request.from === 'machine') return unpackFrom(request, undefined);
  const uris = debianUris(readMachineSources());
  if (uris.length === 0) return "this machine's apt has no Debian mirror in its sources";
  const failures = [];
  for (const uri of uris) {
    const failure = await unpackSid(request, uri);
    if (failure === undefined) return undefined;
    failures.push(failure);
  }
  return failures.join('; ');
}

/**
 * @param {UnpackRequest} request
 * @param {string} uri
 */
async function unpackSid(request, uri) {
  const keyring = keyringFiles.find((file) => existsSync(file));
  if (keyring === undefined) return "Debian's keys are missing (package debian-archive-keyring)";
  return unpackFrom(request, `deb [signed-by=${keyring}] ${uri} sid main\n`);
}

/**
 * @param {UnpackRequest} request
 * @param {string | undefined} sourceList undefined for the machine's own sources
 * @returns {Promise<string | undefined>}
 */
async function unpackFrom({ packages, target }, sourceList) {
  return inTemporaryFolder((folder) => {
    const options = prepareApt(folder, sourceList);
    const env = {
      ...process.env,
      APT_CONFIG: join(folder, 'apt.conf'),
      LC_ALL: 'C',
      DEBIAN_FRONTEND: 'noninteractive',
    };
    // Ignores an error of `update`, since a source that isn't needed may be unreachable. The download shows whether the
    // needed source answers.
    const updated = run('apt-get', [...options, '-q', 'update'], { cwd: folder, env, timeoutMs: aptTimeoutMs });
    const downloads = join(folder, 'downloads');
    mkdirSync(downloads);
    const downloaded = run('apt-get', [...options, '-q', 'download', ...packages], {
      cwd: downloads,
      env,
      timeoutMs: aptTimeoutMs,
    });
    if (!downloaded.ok) {
      const cause = updated.ok ? '' : `apt-get update: ${lastLines(updated.output)}; `;
      return `${cause}apt-get download ${packages.join(' ')}: ${lastLines(downloaded.output)}`;
    }
    const unpacked = join(folder, 'unpacked');
    mkdirSync(unpacked);
    for (const archive of readdirSync(downloads).filter((name) => name.endsWith('.deb'))) {
      const result = run('dpkg-deb', ['-x', join(downloads, archive), unpacked]);
      if (!result.ok) return `dpkg-deb -x ${archive}: ${lastLines(result.output)}`;
    }
    moveIntoPlace(unpacked, target);
    return undefined;
  });
}

/**
 * @param {string} folder
 * @param {string | undefined} sourceList
 * @returns {string[]} options for every apt command
 */
function prepareApt(folder, sourceList) {
  for (const name of ['lists/partial', 'cache/archives/partial', 'apt.conf.d'])
    mkdirSync(join(folder, name), { recursive: true });
  const machineParts = '/etc/apt/apt.conf.d';
  for (const name of existsSync(machineParts) ? readdirSync(machineParts) : []) {
    symlinkSync(join(machineParts, name), join(folder, 'apt.conf.d', name));
  }
  // apt reads this configuration after the machine's own. It disables the machine's hooks, and `update` fetches only
  // package lists.
  const quiet = [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear Acquire::IndexTargets::deb::DEP-11;',
    '#clear Acquire::IndexTargets::deb::DEP-11-icons;',
    '#clear Acquire::IndexTargets::deb::DEP-11-icons-small;',
    '#clear Acquire::IndexTargets::deb::DEP-11-icons-large;',
    '#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;',
    '#clear Acquire::IndexTargets::deb::CNF;',
    'Acquire::Languages "none";',
    'Acquire::Retries "2";',
  ];
  writeFileSync(join(folder, 'apt.conf.d', 'zzz-coppice'), `${quiet.join('\n')}\n`);
  writeFileSync(join(folder, 'apt.conf'), `Dir::Etc::Parts "${join(folder, 'apt.conf.d')}";\n`);
  const settings = [`Dir::State::Lists=${join(folder, 'lists')}`, `Dir::Cache=${join(folder, 'cache')}`];
  // Under root, apt downloads as another user by default. That user can't write to this folder.
  if (process.getuid?.() === 0) settings.push('APT::Sandbox::User=root');
  if (sourceList !== undefined) {
    const file = join(folder, 'sources.list');
    writeFileSync(file, sourceList);
    settings.push(`Dir::Etc::sourcelist=${file}`, 'Dir::Etc::sourceparts=/dev/null', 'Dir::State::status=/dev/null');
    settings.push('Dir::Etc::preferences=/dev/null', 'Dir::Etc::preferencesparts=/dev/null');
  }
  return settings.flatMap((setting) => ['-o', setting]);
}

/** @returns {string[]} contents of the files that list the machine's package sources */
function readMachineSources() {
  const parts = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list'];
  for (const name of existsSync(parts) ? readdirSync(parts) : []) {
    if (name.endsWith('.list') || name.endsWith('.sources')) files.push(join(parts, name));
  }
  return files.filter((file) => existsSync(file)).map((file) => readFileSync(file, 'utf8'));
}

/**
 * Returns the addresses of the Debian mirrors that package sources name. Returns an empty array if the sources aren't Debian's.
 * @param {readonly string[]} sourceTexts contents of the files that list the sources, in either of apt's two formats
 * @returns {string[]}
 */
export function debianUris(sourceTexts) {
  const uris = sourceTexts.flatMap((text) => [...oneLineUris(text), ...deb822Uris(text)]);
  const debian = uris.map((uri) => uri.replace(/\/+$/, '')).filter((uri) => uri.endsWith('/debian'));
  return [...new Set(debian)];
}

/** @param {string} text */
function oneLineUris(text) {
  return [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+.*\bmain\b/gm)].flatMap((match) => match[1] ?? []);
}

/** @param {string} text */
function deb822Uris(text) {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (/** @type {string} */ name) =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'im').exec(paragraph)?.[1] ?? '';
    if (
      !/\bdeb\b/.test(field('Types')) ||
      !/\bmain\b/.test(field('Components')) ||
      /^no$/i.test(field('Enabled').trim())
    )
      return [];
    return field('URIs')
      .split(/\s+/)
      .filter((uri) => uri !== '' && !uri.startsWith('#'));
  });
}
