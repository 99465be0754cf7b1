import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { natsServerProgram, startNatsServer, temporaryFolder } from '@coppice/testing';
import { Bus } from '@coppice/bus';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';

type Overridden = { command?: string[]; environment?: Record<string, string>; volumes: string[] };

/** Tests connections to a server with a certificate, and to one that also requires certificates of its clients. */
const run = promisify(execFile);
const whyWithoutOpenssl = await run('openssl', ['version']).then(
  () => null,
  () => 'openssl, which makes the certificates, is not installed',
);

describe.skipIf(whyWithoutOpenssl !== null)(
  `an encrypted bus${whyWithoutOpenssl === null ? '' : ` (skipped: ${whyWithoutOpenssl})`}`,
  () => {
    let folder: { path: string; remove(): Promise<void> };
    const file = (name: string) => path.join(folder.path, name);
    const openssl = (...all: string[]) => run('openssl', all, { cwd: folder.path });

    /** Makes a key and a certificate. Without `authority`, the certificate is self-signed. */
    async function certificate(name: string, authority?: string, host = 'localhost'): Promise<void> {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
      const signer = authority === undefined ? [] : ['-CA', `${authority}.crt`, '-CAkey', `${authority}.key`];
      const extensions = authority === undefined ? [] : ['-addext', `subjectAltName=DNS:${host}`];
      const basic = authority === undefined ? 'basicConstraints=critical,CA:TRUE' : 'basicConstraints=CA:FALSE';
      await openssl(
        'req',
        '-x509',
        ...key,
        ...signer,
        '-subj',
        `/CN=${name}`,
        '-addext',
        basic,
        ...extensions,
        '-days',
        '2',
        '-out',
        `${name}.crt`,
      );
    }

    beforeAll(async () => {
      folder = await temporaryFolder('certificates');
      await certificate('authority');
      await certificate('stranger');
      await certificate('server', 'authority');
      await certificate('client', 'authority');
      await certificate('misnamed', 'authority', 'elsewhere.example');
    });
    afterAll(() => folder?.remove());

    const server = (verify: boolean, name = 'server') =>
      startNatsServer({
        config: `tls { cert_file: "${file(`${name}.crt`)}", key_file: "${file(`${name}.key`)}", ca_file: "${file('authority.crt')}", verify: ${verify} }`,
      });
    const connect = (servers: string, tls: { caFile?: string; certFile?: string; keyFile?: string } | undefined) =>
      Bus.connect({
        servers: servers.replace('127.0.0.1', 'localhost'),
        name: 'test',
        ...(tls === undefined ? {} : { tls }),
      });

    test('accepts clients that trust its authority, and not those that trust another one', async () => {
      await using nats = await server(false);
      const bus = await connect(nats.url, { caFile: file('authority.crt') });
      await bus.flush();
      await bus.close();
      await expect(connect(nats.url, { caFile: file('stranger.crt') })).rejects.toMatchObject({ code: 'unavailable' });
      await expect(connect(nats.url, undefined)).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('is rejected if its certificate has another name', async () => {
      await using nats = await server(false, 'misnamed');
      const connected = connect(nats.url, { caFile: file('authority.crt') });
      await expect(connected).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('must be addressed by its name: an IP address is rejected, and the error names the setting', async () => {
      await using nats = await server(false);
      const byAddress = (tls?: { caFile: string }) =>
        Bus.connect({ servers: nats.url, name: 'test', ...(tls === undefined ? {} : { tls }) });
      expect(nats.url).toContain('127.0.0.1');
      await expect(byAddress({ caFile: file('authority.crt') })).rejects.toMatchObject({
        code: 'invalid-request',
        message: expect.stringMatching(
          /127\.0\.0\.1:\d+ .*expected a host name .*NATS_URL.*received an IP address/,
        ) as string,
      });
      await expect(connect(nats.url, undefined)).rejects.toThrow(/; NATS_CA_FILE names the authority/);
      await using misnamed = await server(false, 'misnamed');
      const connected = connect(misnamed.url, { caFile: file('authority.crt') });
      await expect(connected).rejects.toThrow(/NATS_URL has to name the server as its certificate does/);
    });

    test("a server that requires encryption without a client's setting must also be addressed by its name", async () => {
      await using nats = await server(false);
      const script = `const { Bus } = await import('@coppice/bus'); await Bus.connect({ servers: process.argv[1], name: 'test' })`;
      // In a separate process, since Node reads its trusted certificates only when it starts.
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: file('authority.crt') };
      const options = { env, cwd: path.resolve(import.meta.dirname, '../../apps/cli') };
      const connected = run(process.execPath, ['--input-type=module', '--eval', script, nats.url], options);
      await expect(connected).rejects.toThrow(/received an IP address/);
    });

    test("the guide's settings for docker-compose switch on encryption, and the services trust the authority", async () => {
      const guide = path.resolve(import.meta.dirname, '../../docs/operations.md');
      const blocks = (await readFile(guide, 'utf8')).matchAll(/^```yaml\n([\s\S]*?)^```$/gm);
      const override = [...blocks].map(([, text = '']) => text).find((text) => text.includes('--tlscert')) ?? '';
      const { services } = parse(override) as { services: Record<string, Overridden> };
      const { nats: natsService, ...others } = services;
      expect(Object.keys(others).toSorted()).toEqual([
        'container-service',
        'llm-gateway',
        'orchestrator',
        'worktree-service',
      ]);
      for (const { environment, volumes } of Object.values(others))
        expect(volumes).toEqual([`./tls/authority.crt:${environment?.['NATS_CA_FILE']}:ro`]);
      const [program, config, configFile, ...options] = natsService?.command ?? [];
      expect([program, config, configFile]).toEqual(['nats-server', '--config', '/etc/nats/nats-server.conf']);
      const flags = options.map((option) => option.replace('/etc/nats/tls', folder.path));
      await writeFile(file('nats-server'), `#!/bin/sh\nexec '${natsServerProgram()}' "$@" ${flags.join(' ')}\n`);
      await chmod(file('nats-server'), 0o755);
      await using nats = await startNatsServer({ program: file('nats-server') });
      const bus = await connect(nats.url, { caFile: file('authority.crt') });
      await bus.close();
      await expect(connect(nats.url, undefined)).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('requires a certificate of the client if it is configured to', async () => {
      await using nats = await server(true);
      const tls = { caFile: file('authority.crt'), certFile: file('client.crt'), keyFile: file('client.key') };
      const bus = await connect(nats.url, tls);
      await bus.flush();
      await bus.close();
      await expect(connect(nats.url, { caFile: file('authority.crt') })).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('a client with an authority does not connect without encryption', async () => {
      await using nats = await startNatsServer();
      await expect(connect(nats.url, { caFile: file('authority.crt') })).rejects.toMatchObject({ code: 'unavailable' });
    });
  },
);
