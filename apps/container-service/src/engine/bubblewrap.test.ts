import { accessSync, constants } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { EngineFixture, isRequired, testLaunchers, untestableReason } from './conformance-fixture.ts';
import { describeConformance } from './conformance.ts';
import { bubblewrapLauncher } from './bubblewrap.ts';
import { markOf, markStandsFirst } from './marked-processes.ts';
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
/** True if control groups can be used. Memory, swap and CPU limits need them. */
const controlGroups = root && (isWritable('/sys/fs/cgroup/memory') || isWritable('/sys/fs/cgroup/cgroup.procs'));
const missing: Enforceable[] = [
  'abstractSockets',
  ...(root ? [] : (['ownUid'] as const)),
  ...(controlGroups ? [] : (['memory', 'swap', 'cpu'] as const)),
];

const makeLauncher = testLaunchers.bubblewrap;

await describeConformance({
  engine: 'bubblewrap',
  makeLauncher,
  mustEnforce: enforceable.filter((name) => !missing.includes(name)),
});

test('the mark of a namespace’s first process is in the part of its environment that a search reads', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('bubblewrap')) context.skip(reason);
  const fixture = await EngineFixture.start(makeLauncher);
  try {
    const env = { A: 'x'.repeat(60_000), COPPICE_COMMAND: 'of another' };
    const sandbox = await fixture.sandbox({ env });
    const options = { env: { B: 'x'.repeat(60_000) }, execId: 'marked' };
    const first = await sandbox.exec(['head', '-c', String(markStandsFirst), '/proc/1/environ'], options);
    const mark = markOf(join(fixture.data, 'engine'), sandbox.id, options.execId);
    expect(first.stdout.text.slice(0, 200)).toContain(`COPPICE_COMMAND=${mark}\0`);
  } finally {
    await fixture.stop();
  }
});

test('a folder can be mounted whatever its name', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('bubblewrap')) context.skip(reason);
  const fixture = await EngineFixture.start(makeLauncher);
  try {
    // Characters that are special in fstab(5), then spaces and line ends outside of ASCII, which are not special.
    const names = [
      'a b',
      'a\tb',
      'a\nb',
      'a\vb\fc\rd',
      '#a#b',
      'a\\040b',
      '\u00a0',
      '\u2003\u3000',
      '\u2028\ufeff',
      'é',
    ];
    for (const name of names) {
      const sandbox = await fixture.sandbox({ workspace: { source: await fixture.folder(name), readOnly: false } });
      expect([name, await sandbox.exec('echo here > file')]).toMatchObject([
        name,
        { exitCode: 0, stderr: { text: '' } },
      ]);
      expect(await readFile(join(sandbox.workspace, 'file'), 'utf8')).toBe('here\n');
    }
  } finally {
    await fixture.stop();
  }
});

/** Returns a script that starts the real program with the filter in the given file. */
const withoutRules = (real: string, filter: string) => `#!/bin/bash
words=("$@")
for ((i = 0; i < $#; i++)); do
  if [ "\${words[i]}" = --seccomp ]; then eval "exec \${words[i + 1]}<'${filter}'"; fi
done
exec '${real}' "$@"
`;

test('a filter that allows every call is not reported as ours', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('bubblewrap')) context.skip(reason);
  await using folder = await temporaryFolder('seccomp');
  await chmod(folder.path, 0o755);
  const filter = join(folder.path, 'filter');
  await writeFile(filter, Buffer.from([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]));
  const wrapper = join(folder.path, 'bwrap');
  await writeFile(wrapper, withoutRules(program ?? '', filter), { mode: 0o755 });
  const fixture = await EngineFixture.start((options) => bubblewrapLauncher({ ...options, program: wrapper }));
  try {
    const { enforces } = await fixture.engine.probe();
    expect(enforces.noNewPrivileges.enforced).toBe(true);
    expect(enforces.seccomp).toMatchObject({
      enforced: false,
      how: expect.stringMatching(/AF_VSOCK\) answered (?!1 )/) as string,
    });
  } finally {
    await fixture.stop();
  }
});

test('the report says that abstract sockets of the host can be reached with network full, but not with network none', async (context) => {
  const reason = await untestableReason(makeLauncher);
  if (reason !== undefined && !isRequired('bubblewrap')) context.skip(reason);
  const fixture = await EngineFixture.start(makeLauncher);
  try {
    expect((await fixture.engine.probe()).enforces.abstractSockets).toEqual({
      enforced: false,
      how: expect.stringMatching(/with network none .* was out of reach, with network full .* was reached/) as string,
    });
  } finally {
    await fixture.stop();
  }
});
