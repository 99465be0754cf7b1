/** Tests that a program without a NATS client can use the permissions and keys of docs/protocol.md. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Bus, apiEndpoint } from '@coppice/bus';
import { api, buckets, runIdOf, runItself, streams, subjects } from '@coppice/contracts';
import { startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { blocks, example, projectFolder, table } from '../support/protocol-document.ts';
import { whyWithoutToolchain } from '../support/toolchains.ts';

const withoutPython = await whyWithoutToolchain('python');

function python(all: string[]): Promise<{ exitCode: number | null; out: string; err: string }> {
  const { promise, resolve } = Promise.withResolvers<{ exitCode: number | null; out: string; err: string }>();
  const child = execFile('python3', all, { timeout: 30_000 }, (_error, out, err) =>
    resolve({ exitCode: child.exitCode, out, err }),
  );
  return promise;
}

/** Prints the fields of CONNECT that the example derives from a key. */
const proofProgram = `
import json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from submit_and_follow import proof_of
print(json.dumps(proof_of(json.loads(sys.argv[2]), {'nonce': sys.argv[3]})))
`;
const examplesInPython = path.join(projectFolder, 'examples/python');

test('the signature of a nonce is as documented', { timeout: 60_000 }, async (context) => {
  const reason = withoutPython ?? (await whyWithoutToolchain('openssl'));
  if (reason !== null) context.skip(reason);
  const [credentials] = example('credentials');
  const [[nonce = '', nkey, sig] = []] = table('`nonce`');
  const { err, out } = await python(['-I', '-c', proofProgram, examplesInPython, JSON.stringify(credentials), nonce]);
  expect([err, JSON.parse(out)]).toEqual(['', { nkey, sig }]);
});

/** Sends one request as the user `acme`, and prints the answer. */
const oneRequest = `
import json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from submit_and_follow import Nats
nats = Nats(sys.argv[2], {'user': 'acme', 'password': 'for-acme'}, 'acme')
headers, _, body = nats.request(sys.argv[3], json.loads(sys.argv[4]))
print(headers.get('Status') or body.decode())
`;
const beyond = [
  subjects.api('other', 'run.submit'),
  subjects.intake('other'),
  subjects.command('worktree-service', 'any', 'prepare'),
  subjects.actor('run', 'acme.raaaaaaaaaaaaaaaa'),
  subjects.event('acme', 'raaaaaaaaaaaaaaaa', 'run', 'run-ended'),
  `$JS.API.CONSUMER.CREATE.${streams.events}.x.${subjects.event('other', 'raaaaaaaaaaaaaaaa', '*', '*')}`,
  `$JS.API.CONSUMER.CREATE.${streams.events}.x.coppice.event.>`,
  `$JS.API.CONSUMER.CREATE.${streams.transcripts}.x.coppice.transcript.other.>`,
  `$JS.API.STREAM.PURGE.${streams.events}`,
  `$JS.API.DIRECT.GET.OBJ_${buckets.artifacts}`,
  `$JS.API.DIRECT.GET.${streams.events}`,
];

test('the permissions allow a tenant to submit and follow its own runs only', { timeout: 60_000 }, async (context) => {
  if (withoutPython !== null) context.skip(withoutPython);
  const config = blocks.find(({ label }) => label === 'conf')?.content ?? '';
  await using server = await startNatsServer({ config });
  const bus = await Bus.connect({ servers: server.url, user: 'coppice', password: 'for-the-services', name: 'test' });
  await bus.ensureResources();
  await using folder = await temporaryFolder('permissions');
  const [request] = example('run.submit input');
  const credentials = { user: 'acme', password: 'for-acme' };
  const files = { 'acme.json': JSON.stringify(credentials), 'request.json': JSON.stringify(request) };
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder.path, name), content);
  const [ended] = (example('event') as { type: string }[]).filter(({ type }) => type === 'coppice.run-ended');
  const service = await bus.serve({
    name: 'orchestrator',
    version: '0.0.0',
    description: 'answers as in the document',
    endpoints: [
      apiEndpoint(api.runSubmit, async ({ requestId }, { tenant }) => {
        const runId = runIdOf(tenant, requestId);
        await bus.publish(subjects.event(tenant, runId, runItself, 'run-ended'), ended ?? {});
        return { runId, created: true, tasks: [], unprotected: [] };
      }),
    ],
  });
  const program = path.join(examplesInPython, 'submit_and_follow.py');
  const run = async (...options: string[]) => {
    const positional = [server.url, ...Object.keys(files).map((name) => path.join(folder.path, name))];
    const { exitCode, err } = await python(['-I', program, ...options, ...positional]);
    return { exitCode, err };
  };
  try {
    expect(await run('--tenant', 'acme')).toEqual({ exitCode: 0, err: '' });
    expect(await run('--tenant', 'acme', '--intake')).toEqual({ exitCode: 0, err: '' });
    expect(await run('--tenant', 'other')).toMatchObject({
      exitCode: 3,
      err: expect.stringContaining('Permissions'),
    });
    const asAcme = (subject: string, payload: object) =>
      python(['-I', '-c', oneRequest, examplesInPython, server.url, subject, JSON.stringify(payload)]);
    expect(await asAcme(subjects.api('acme', 'run.start'), {})).toEqual({ exitCode: 0, out: '503\n', err: '' });
    for (const subject of beyond) {
      expect([subject, await asAcme(subject, {})]).toEqual([
        subject,
        { exitCode: 1, out: '', err: expect.stringContaining('Permissions Violation for Publish') },
      ]);
    }
    for (const [stream, filter] of [
      [streams.transcripts, 'coppice.transcript.acme.>'],
      [streams.logs, 'coppice.log.acme.>'],
    ] as const) {
      const configuration = { name: 'mine', filter_subject: filter, ack_policy: 'none' };
      const made = await asAcme(`$JS.API.CONSUMER.CREATE.${stream}.mine.${filter}`, {
        stream_name: stream,
        config: configuration,
      });
      expect(JSON.parse(made.out)).toMatchObject({ name: 'mine', config: configuration });
    }
    // The server also rejects a consumer whose filter in the configuration differs from the one in the request's
    // subject.
    const configuration = { name: 'x', filter_subject: 'coppice.event.other.>', ack_policy: 'none' };
    const create = `$JS.API.CONSUMER.CREATE.${streams.events}.x.coppice.event.acme.>`;
    const { out } = await asAcme(create, { stream_name: streams.events, config: configuration });
    expect(JSON.parse(out)).toMatchObject({ error: { code: 400 } });
  } finally {
    await service.stop();
    await bus.close();
  }
});
