import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Bus } from '@coppice/bus';
import { startService } from '@coppice/service';
import { startNatsServer, temporaryFolder } from '@coppice/testing';
import { expect, onTestFinished, test } from 'vitest';
import { homeFrom } from '../stack/home.ts';
import { embeddedServices } from '../stack/services.ts';
import type { Check } from './check.ts';
import { checkProviders } from './providers.ts';

const named = (checks: Check[], name: string) => checks.find((check) => check.name === name);

async function gatewayFile(): Promise<{ folder: string; file: string }> {
  const folder = await temporaryFolder('doctor');
  onTestFinished(() => folder.remove());
  const file = path.join(folder.path, 'gateway.yaml');
  await writeFile(file, '{}');
  return { folder: folder.path, file };
}

/** Starts the gateway of an embedded stack with these variables. */
async function runningGateway(folder: string, gatewayEnvironment: NodeJS.ProcessEnv) {
  const nats = await startNatsServer({ auth: true });
  onTestFinished(() => nats.stop());
  const home = homeFrom({ COPPICE_HOME: folder });
  const services = embeddedServices({ home, engine: 'none', imagesFolder: folder, gatewayEnvironment });
  const gateway = services.find(({ name }) => name === 'llm-gateway');
  let line: string | undefined;
  const started = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: async (context) => {
      const work = await gateway?.start(context, () => {});
      if (work === undefined) throw new Error('a stack without a gateway');
      line = work.line;
      return work;
    },
  });
  onTestFinished(() => started.stop());
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  onTestFinished(() => bus.close());
  return { line, check: (environment: NodeJS.ProcessEnv) => checkProviders({ bus, tenant: 'default' }, environment) };
}

test('without a stack, doctor reports the file that a stack would read and the endpoints that it would open', async () => {
  const { file } = await gatewayFile();
  const none = await checkProviders(null, {});
  expect(named(none, "gateway's file")).toMatchObject({ level: 'ok', found: expect.stringContaining('none') });
  expect(named(none, "gateway's HTTP endpoints")).toMatchObject({ level: 'ok', found: expect.stringContaining('off') });
  const set = await checkProviders(null, { COPPICE_GATEWAY_CONFIG: file, COPPICE_GATEWAY_HTTP: '127.0.0.1:8790' });
  expect(named(set, "gateway's file")?.found).toBe(file);
  expect(named(set, "gateway's HTTP endpoints")?.found).toContain('http://127.0.0.1:8790');
});

test('a stack reports its endpoints at its start and to doctor; doctor compares its file with what it has read', async () => {
  const { folder, file } = await gatewayFile();
  const environment = { COPPICE_GATEWAY_CONFIG: file, COPPICE_GATEWAY_HTTP: '127.0.0.1:0' };
  const { line, check } = await runningGateway(folder, environment);
  expect(line).toMatch(/^HTTP endpoints at http:\/\/127\.0\.0\.1:\d+$/);
  const [address = 'none'] = /http:.*/.exec(line ?? '') ?? [];
  const ofFile = async (here: NodeJS.ProcessEnv) => named(await check(here), "gateway's file");

  expect(named(await check({}), "gateway's HTTP endpoints")).toMatchObject({ level: 'ok', found: `at ${address}` });
  expect(await ofFile({})).toMatchObject({ level: 'ok', found: file });
  await writeFile(file, 'aliases: { fast: { candidates: [scripted/x] } }');
  expect(await ofFile({})).toMatchObject({ level: 'warning', found: expect.stringContaining('has changed') });
  await writeFile(file, 'aliasses: {}');
  expect(await ofFile(environment)).toMatchObject({ level: 'fault', found: expect.stringContaining(`${file}:1:1`) });
});

test('a file or endpoint that is set here, but that the running stack has not read, is reported', async () => {
  const { folder, file } = await gatewayFile();
  const { line, check } = await runningGateway(folder, {});
  expect(line).toBeUndefined();
  const checks = await check({ COPPICE_GATEWAY_CONFIG: file, COPPICE_GATEWAY_HTTP: '127.0.0.1:8790' });
  expect(named(checks, "gateway's file")).toMatchObject({
    level: 'warning',
    found: expect.stringContaining('has read none'),
  });
  expect(named(checks, "gateway's HTTP endpoints")).toMatchObject({
    level: 'warning',
    found: expect.stringContaining('off in the stack that runs'),
  });
});

test('a provider in the file without its key causes a warning, whether a stack runs or not', async () => {
  const { folder, file } = await gatewayFile();
  await writeFile(
    file,
    'providers:\n' +
      '  groq: { wire: openai-chat, baseUrl: http://127.0.0.1:9, key: { variable: COPPICE_GATEWAY_KEY_GROQ } }\n' +
      '  anthropic: { baseUrl: http://127.0.0.1:9, key: { variable: COPPICE_GATEWAY_KEY_OWN } }\n',
  );
  const environment = { COPPICE_GATEWAY_CONFIG: file };
  const { check } = await runningGateway(folder, environment);
  for (const checks of [await checkProviders(null, environment), await check(environment)]) {
    for (const [name, variable] of [
      ['groq', 'COPPICE_GATEWAY_KEY_GROQ'],
      ['anthropic', 'COPPICE_GATEWAY_KEY_OWN'],
    ] as const) {
      expect(named(checks, `model provider ${name}`)).toMatchObject({
        level: 'warning',
        found: expect.stringContaining(`set ${variable}`),
      });
    }
    expect(named(checks, 'model provider gemini')).toMatchObject({ level: 'ok' });
  }
});
