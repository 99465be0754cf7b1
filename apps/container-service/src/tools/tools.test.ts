import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Bus, type CommandHandler } from '@coppice/bus';
import { buckets, logChunkSchema, streams, subjects, toolLimits, type ToolResult } from '@coppice/contracts';
import { eventually, startNatsServer, type NatsServer } from '@coppice/testing';
import { createLogger } from '@coppice/telemetry';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testLaunchers, useEngineFixture, type Sandbox } from '../engine/conformance-fixture.ts';
import { toolsHandler } from './handler.ts';

const dashes = '-'.repeat(20);
/** Returns a shell command that prints the numbers up to `last`, one on each line. */
const count = (last: number) => `n=0; while [ $n -lt ${last} ]; do n=$((n+1)); echo $n; done`;

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

describe.each(Object.entries(testLaunchers))('tools on %s', (engineName, makeLauncher) => {
  const fixture = useEngineFixture(engineName, makeLauncher);
  let handler: CommandHandler;
  let sandbox: Sandbox;
  beforeEach(async () => {
    const { data, engine } = fixture();
    handler = toolsHandler({ bus, engine, log: createLogger('test'), logsFolder: join(data, 'logs') });
    sandbox = await fixture().sandbox();
  });

  let effects = 0;
  const isArtifact = (value: unknown): value is { artifact: string } =>
    typeof value === 'object' && value !== null && 'artifact' in value;
  type Call = [name: string, input: unknown];
  async function call(
    calls: Call[],
    signal = new AbortController().signal,
    resultCharactersMax: number = toolLimits.resultCharactersMax,
    confirmClaim = async (): Promise<void> => {},
  ): Promise<ToolResult[]> {
    const input = {
      owner: { tenant: 'default', runId: 'run', taskId: sandbox.id },
      sandboxId: sandbox.id,
      resultCharactersMax,
      calls: calls.map(([name, value], index) => ({
        id: `call-${index}`,
        name,
        arguments: isArtifact(value) ? value : { text: typeof value === 'string' ? value : JSON.stringify(value) },
      })),
    };
    const context = {
      effectId: `effect_${++effects}`,
      signal,
      takenOver: false,
      queuedMs: 0,
      confirmClaim,
    };
    const { results } = (await handler.run(input, context)) as { results: ToolResult[] };
    expect(results.map(({ callId }) => callId)).toEqual(calls.map((_call, index) => `call-${index}`));
    return results;
  }
  async function one(name: string, input: unknown): Promise<ToolResult & { text: string }> {
    const [result] = await call([[name, input]]);
    if (result === undefined) throw new Error('no result');
    return { ...result, text: 'text' in result.content ? result.content.text : '' };
  }
  const host = (path: string) => join(sandbox.workspace, path);
  /** Writes a file as the sandbox's user, who owns the workspace. */
  async function put(path: string, content: string | Uint8Array): Promise<void> {
    await fixture().engine.writeFile(sandbox.id, path, Buffer.from(content));
  }

  test('an invalid call gets an answer that says what is wrong', async () => {
    const cases: [Call, RegExp][] = [
      [['run', '{"command": "ls"'], /arguments of run is not JSON/],
      [['run', '["ls"]'], /arguments of run: expected (object|record), received \["ls"\]/],
      [['run', {}], /arguments of run: command: expected string, received nothing/],
      [['run', { command: 'ls', timeout: 3 }], /timeout: expected no such field, received 3/],
      [['read', { path: 7 }], /path: expected string, received 7/],
      [['read', { path: '../secret' }], /path: expected a path inside the repository/],
      [['read', { path: '.git/config' }], /path outside \.git/],
      [['read', { path: 'a', fromLine: 0 }], /fromLine: expected/],
      [['erase', {}], /there is no tool "erase"; there are run, read, write, edit, list, search, todo, finish$/],
    ];
    const results = await call(cases.map(([each]) => each));
    for (const [index, [, message]] of cases.entries()) {
      expect(results[index]).toMatchObject({
        isError: true,
        content: { text: expect.stringMatching(message) as string },
      });
    }
    expect(await one('list', '')).toMatchObject({ isError: false });
    expect(await one('read', { path: '/workspace/a', fromLine: null })).toMatchObject({
      text: "a can't be read: there is no such file",
    });
  });

  test('run: the text contains the exit code, stdout and stderr', async () => {
    const result = await one('run', {
      command: 'echo out; printf "\\033]0;title\\007\\033[1;31mred\\033[0m\\n"; echo err >&2; pwd; exit 3',
    });
    expect(result.isError).toBe(true);
    expect(result.text).toMatch(/^exit code 3 after \d+\.\d s\nout\nred\n.*\n--- stderr ---\nerr$/s);
    expect(await one('run', { command: 'true' })).toMatchObject({ isError: false, logArtifact: null });
    const late = await one('run', { command: 'echo begun; sleep 60', timeoutSeconds: 1 });
    expect(late).toMatchObject({ isError: true, text: expect.stringMatching(/longer than 1 s.*\nbegun/s) as string });
    const chunks = await eventually(async () => {
      const messages = await Array.fromAsync(bus.read(streams.logs, subjects.log('default', sandbox.id)));
      return messages.length >= 3 ? messages.map((message) => logChunkSchema.parse(message.json()).text) : undefined;
    });
    expect(chunks.join('')).toContain('begun');
  });

  test('run: of very long output the beginning and end are shown, and all of it is stored', async () => {
    const flood = await one('run', { command: `${count(100_000)}; echo the end; ${count(20_000)} >&2` });
    expect(flood.text.length).toBeLessThanOrEqual(toolLimits.resultCharactersMax);
    expect(flood.text).toMatch(/\n1\n2\n3\n.*… \d+ bytes left out ….*\nthe end\n--- stderr ---\n1\n.*\n20000\n/s);
    const store = await bus.objects(buckets.artifacts);
    const whole = new TextDecoder().decode((await store.get(flood.logArtifact ?? '')) ?? undefined);
    expect(whole.split('\n').filter((line) => line === '77777')).toHaveLength(1);
  });

  test('results that don’t fit into one message are sent by reference', async () => {
    const results = await call(
      Array.from({ length: 4 }, () => ['run', { command: 'head -c 20000 /dev/zero | tr "\\0" x' }]),
    );
    expect(results.map(({ content }) => ('text' in content ? 'by value' : 'by reference'))).toEqual([
      'by value',
      'by reference',
      'by reference',
      'by reference',
    ]);
    const [, { content } = { content: { text: '' } }] = results;
    const store = await bus.objects(buckets.artifacts);
    const bytes = await store.get('artifact' in content ? content.artifact : '');
    expect(new TextDecoder().decode(bytes ?? undefined)).toMatch(/exit code 0.*x{20000}$/s);
  });

  test('calls that change something run in order; read-only calls run at the same time', async () => {
    const results = await call([
      ['write', { path: 'a/b c/-x.txt', content: 'one\n' }],
      ['run', { command: 'cat "a/b c/-x.txt"; echo two >> "a/b c/-x.txt"; ls "a/b c"' }],
      ['read', { path: 'a/b c/-x.txt' }],
      ['list', { depth: 3 }],
      ['search', { pattern: 't[w]o' }],
    ]);
    expect(results.map(({ content }) => ('text' in content ? content.text.replace(/after \S+ s/, '') : ''))).toEqual([
      'a/b c/-x.txt made: 4 bytes',
      'exit code 0 \none\n-x.txt',
      'a/b c/-x.txt (lines 1-2 of 2):\none\ntwo\n',
      'a/\na/b c/\na/b c/-x.txt',
      'a/b c/-x.txt:2:two',
    ]);
  });

  test('read: ranges, long files, line ends, and files that are not text', async () => {
    await put('long.txt', Array.from({ length: 3_000 }, (_, index) => `line ${index + 1} ${dashes}\n`).join(''));
    expect((await one('read', { path: 'long.txt', fromLine: 2999, lines: 5 })).text).toBe(
      `long.txt (lines 2999-3000 of 3000):\nline 2999 ${dashes}\nline 3000 ${dashes}\n`,
    );
    const start = await one('read', { path: 'long.txt' });
    expect(start.text).toMatch(
      /^long\.txt \(lines 1-\d+ of 3000\):\nline 1 -+\n.*… cut here: read on with fromLine \d+ …$/s,
    );
    const [, next = ''] = /fromLine (\d+) …$/.exec(start.text) ?? [];
    expect(start.text).toContain(`\nline ${Number(next) - 1} ${dashes}\n… cut`);
    expect((await one('read', { path: 'long.txt', fromLine: Number(next), lines: 1 })).text).toContain(
      `:\nline ${next} ${dashes}\n… `,
    );
    expect(await one('read', { path: 'long.txt', fromLine: 4000 })).toMatchObject({
      isError: true,
      text: 'long.txt has 3000 lines; fromLine is 4000',
    });
    await put('wide.txt', `${'x'.repeat(200_000)}\nend\n`);
    expect((await one('read', { path: 'wide.txt' })).text).toMatch(
      /\(lines 1-1 of 2\).*the rest of line 1 is left out/s,
    );
    await put('dos.txt', 'a\r\nb\r\nc');
    expect((await one('read', { path: 'dos.txt' })).text).toBe(
      'dos.txt (lines 1-3 of 3; lines end with CRLF; the last line has no end):\na\nb\nc',
    );
    await put('empty', '');
    expect((await one('read', { path: 'empty' })).text).toBe('empty is empty');
    await put('binary', Buffer.from([1, 0, 2]));
    await put('lib/only-here.ts', 'x\n');
    const wrong: [string, string][] = [
      ['binary', 'it is a binary file'],
      ['lib', 'it is a folder'],
      ['src/only-here.ts', 'there is no such file; there is lib/only-here.ts'],
    ];
    for (const [path, why] of wrong)
      expect(await one('read', { path })).toMatchObject({ isError: true, text: `${path} can't be read: ${why}` });
    await sandbox.exec('mkfifo pipe');
    expect((await one('read', { path: 'pipe' })).text).toBe("pipe can't be read: it is not a regular file");
  });

  test('a model with a small context gets short results', async () => {
    await sandbox.exec(
      `mkdir many; cd many; ${count(400)} | while read n; do echo "a line of some length $n" > "file-$n"; done; cat * > ../all`,
    );
    const calls: Call[] = [
      ['run', { command: 'cat all; cat all >&2' }],
      ['read', { path: 'all' }],
      ['list', {}],
      ['search', { pattern: 'line' }],
    ];
    for (const { content } of await call(calls, undefined, toolLimits.resultCharactersMin)) {
      const text = 'text' in content ? content.text : '';
      expect(text.length).toBeLessThanOrEqual(toolLimits.resultCharactersMin);
      expect(text.length).toBeGreaterThan(toolLimits.resultCharactersMin / 2);
    }
  });

  test('edit: replaces a text that occurs exactly once, and keeps the mode, other bytes and line ends', async () => {
    const latin1 = Buffer.from([0xe9, 0x0a]);
    await put('code.sh', Buffer.concat([latin1, Buffer.from('one\ntwo\nthree')]));
    await sandbox.exec('chmod 755 code.sh');
    expect(await one('edit', { path: 'code.sh', oldText: 'two\nthree', newText: 'zwei\ndrei' })).toMatchObject({
      isError: false,
      text: 'code.sh edited at line 3',
    });
    expect(await readFile(host('code.sh'))).toEqual(Buffer.concat([latin1, Buffer.from('one\nzwei\ndrei')]));
    expect((await stat(host('code.sh'))).mode & 0o777).toBe(0o755);
    await put('dos.txt', 'a\r\nb\r\nc\r\n');
    expect(await one('edit', { path: 'dos.txt', oldText: 'a\nb', newText: 'a\nx\nb' })).toMatchObject({
      isError: false,
    });
    expect(await readFile(host('dos.txt'), 'utf8')).toBe('a\r\nx\r\nb\r\nc\r\n');

    await put('again.txt', 'x = 1\ny = 2\nx = 1\n');
    const twice = await one('edit', { path: 'again.txt', oldText: 'x = 1', newText: 'x = 3' });
    expect(twice).toMatchObject({
      isError: true,
      text: expect.stringMatching(/unchanged: oldText is there 2 times, at lines 1, 3/) as string,
    });
    const absent = await one('edit', { path: 'again.txt', oldText: 'y = 22', newText: 'y = 3' });
    expect(absent).toMatchObject({
      isError: true,
      text: 'again.txt is unchanged: oldText is not there; the nearest is at line 2:\ny = 2',
    });
    expect(await readFile(host('again.txt'), 'utf8')).toBe('x = 1\ny = 2\nx = 1\n');
    expect((await one('edit', { path: 'none', oldText: 'a', newText: 'b' })).text).toBe(
      "none can't be edited: there is no such file",
    );
    await sandbox.exec(`head -c ${toolLimits.fileBytesMax + 1} /dev/zero | tr "\\0" x > large`);
    expect((await one('edit', { path: 'large', oldText: 'a', newText: 'b' })).text).toMatch(
      /large can't be edited: it has \d+ bytes/,
    );
    await sandbox.exec(`head -c ${toolLimits.fileBytesMax - 10} /dev/zero | tr "\\0" x > large; echo ab >> large`);
    expect((await one('edit', { path: 'large', oldText: 'xab', newText: 'b' })).text).toBe('large edited at line 1');
    expect((await stat(host('large'))).size).toBe(toolLimits.fileBytesMax - 9);
  });

  test('write: folders are created, a folder is not replaced, and no other file is left', async () => {
    expect((await one('write', { path: 'deep/er/file', content: 'x' })).text).toBe('deep/er/file made: 1 bytes');
    expect((await one('write', { path: 'deep/er/file', content: '' })).text).toBe('deep/er/file replaced: 0 bytes');
    expect(await one('write', { path: 'deep', content: '' })).toMatchObject({
      isError: true,
      text: "deep can't be written: it is a folder",
    });
    expect((await one('write', { path: 'deep/er/file/below', content: '' })).isError).toBe(true);
    expect((await one('list', { depth: 5 })).text).toBe('deep/\ndeep/er/\ndeep/er/file');
  });

  test('a file as large as the limit is written; a larger call is rejected, and the calls after it are skipped', async () => {
    const content = '\u0001'.repeat(toolLimits.fileBytesMax);
    const artifact = `default/${sandbox.id}/${++effects}`;
    const store = await bus.objects(buckets.artifacts);
    await store.put(artifact, Buffer.from(JSON.stringify({ path: 'large', content })));
    expect(await call([['write', { artifact }]])).toMatchObject([
      { isError: false, content: { text: `large made: ${toolLimits.fileBytesMax} bytes` } },
    ]);
    expect((await stat(host('large'))).size).toBe(toolLimits.fileBytesMax);
    const tooLarge: [Call, RegExp][] = [
      [['write', { path: 'larger', content: `${content}x` }], /at most 1048576 are taken/],
      [['run', { command: `: ${'x'.repeat(toolLimits.commandCharactersMax)}` }], /at most 32768 are taken/],
      [['edit', { path: 'large', oldText: 'end', newText: 'the end' }], /at most 1048576 are taken/],
    ];
    await sandbox.exec('printf end | dd of=large bs=1 seek=1048573 conv=notrunc');
    for (const [each, message] of tooLarge) {
      const results = await call([['list', {}], each, ['list', {}], ['run', { command: 'touch after' }]]);
      const texts = results.map(({ content: returned }) => ('text' in returned ? returned.text : ''));
      expect(texts[0]).toBe('large');
      expect(texts[1]).toMatch(message);
      expect(texts[2]).toBe(`not done: ${each[0]}, called before it in this turn, was refused`);
      expect(texts[3]).toBe(texts[2]);
      expect(results.map(({ isError }) => isError)).toEqual([false, true, true, true]);
    }
    expect((await one('list', {})).text).toBe('large');
  });

  test('links do not lead out of the sandbox', async () => {
    const secret = await fixture().write(join(fixture().data, `secret-of-${sandbox.id}`), 'of the host\n');
    await sandbox.exec(['ln', '-s', secret, 'link']);
    expect(await one('read', { path: 'link' })).toMatchObject({ isError: true });
    await one('write', { path: 'link', content: 'overwritten' });
    await one('search', { pattern: 'of the host' });
    expect(await readFile(secret, 'utf8')).toBe('of the host\n');
    await rm(secret);
  });

  test('list and search are limited, and skip .git and node_modules', async () => {
    await sandbox.exec(
      'mkdir -p .git node_modules/x many; echo needle > .git/a; echo needle > node_modules/x/a; printf "needle\\0" > binary; cd many; ' +
        `${count(1500)} | while read n; do echo "needle $n" > "f$n"; done`,
    );
    const listed = await one('list', {});
    expect(listed.text.split('\n').slice(0, 3)).toEqual(['binary', 'many/', 'many/f1']);
    expect(listed.text).toMatch(/\n… the first 1000 of 1503 entries; list a folder of it, or less deep …$/);
    expect(listed.text).not.toContain('.git');
    const found = await one('search', { pattern: 'need(le)? 1' });
    expect(found.text).toMatch(/^many\/f1:1:needle 1\n/);
    expect(found.text).toMatch(/\n… the first 200 of 612 lines; use a narrower pattern or path …$/);
    expect((await one('search', { pattern: '-nothing' })).text).toBe('no line of the repository matches');
    expect((await one('search', { pattern: 'needle 7$', path: 'many/f7' })).text).toBe('many/f7:1:needle 7');
    expect(await one('search', { pattern: '(' })).toMatchObject({
      isError: true,
      text: expect.stringMatching(/can't search/) as string,
    });
    expect(await one('list', { path: 'nowhere' })).toMatchObject({ isError: true });
  });

  test('a cancellation ends the command and the operation', async () => {
    const abort = new AbortController();
    const started = performance.now();
    const calling = call(
      [
        ['run', { command: 'touch begun; sleep 60' }],
        ['write', { path: 'after', content: '' }],
      ],
      abort.signal,
    );
    const failed = calling.catch((error: unknown) => error);
    await eventually(() =>
      stat(host('begun')).then(
        () => true,
        () => undefined,
      ),
    );
    abort.abort();
    expect(await failed).toMatchObject({ code: 'cancelled' });
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(await stat(host('after')).catch(() => null)).toBeNull();
  });

  test('a process whose claim another has taken over changes nothing', async () => {
    const taken = new Error('another process has taken it over');
    const calls: Call[] = [['run', { command: 'touch taken-over' }]];
    await expect(call(calls, undefined, undefined, () => Promise.reject(taken))).rejects.toBe(taken);
    expect((await one('list', {})).text).not.toContain('taken-over');
  });

  test('the operation fails if its sandbox does not exist', async () => {
    await fixture().engine.remove(sandbox.id);
    await expect(call([['run', { command: 'true' }]])).rejects.toMatchObject({ code: 'sandbox-not-found' });
  });
});
