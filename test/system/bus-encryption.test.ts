import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { startNatsServer, temporaryFolder } from '@coppice/testing';
import { Bus } from '@coppice/bus';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** Connections to a server that has a certificate, and asks its clients for one. */
const run = promisify(execFile);
const whyWithoutOpenssl = await run('openssl', ['version']).then(
  () => null,
  () => 'openssl is not installed, which makes the certificates',
);

describe.skipIf(whyWithoutOpenssl !== null)(
  `an encrypted bus${whyWithoutOpenssl === null ? '' : ` (skipped: ${whyWithoutOpenssl})`}`,
  () => {
    let folder: { path: string; remove(): Promise<void> };
    const file = (name: string) => path.join(folder.path, name);
    const openssl = (...all: string[]) => run('openssl', all, { cwd: folder.path });

    /** A key and a certificate, `<name>.key` and `<name>.crt`; signed by `authority`, or by itself. */
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

    test('is reached with its authority, and by nobody who trusts another', async () => {
      await using nats = await server(false);
      const bus = await connect(nats.url, { caFile: file('authority.crt') });
      await bus.flush();
      await bus.close();
      await expect(connect(nats.url, { caFile: file('stranger.crt') })).rejects.toMatchObject({ code: 'unavailable' });
      await expect(connect(nats.url, undefined)).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('is not taken for another by its certificate', async () => {
      await using nats = await server(false, 'misnamed');
      const connected = connect(nats.url, { caFile: file('authority.crt') });
      await expect(connected).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('asks for a certificate of the client, where it is told to', async () => {
      await using nats = await server(true);
      const tls = { caFile: file('authority.crt'), certFile: file('client.crt'), keyFile: file('client.key') };
      const bus = await connect(nats.url, tls);
      await bus.flush();
      await bus.close();
      await expect(connect(nats.url, { caFile: file('authority.crt') })).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('a client that was given an authority speaks to no server in the clear', async () => {
      await using nats = await startNatsServer();
      await expect(connect(nats.url, { caFile: file('authority.crt') })).rejects.toMatchObject({ code: 'unavailable' });
    });
  },
);
