import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { commonVariables, flagVariable, nodeNameOfHost, pathListVariable, readConfiguration } from './configuration.ts';
import { connectionFrom } from './bus-connection.ts';
import { ConfigurationError } from './errors.ts';

const common = z.object(commonVariables);

test('every variable has a usable default', () => {
  const configuration = readConfiguration(common, {});
  expect(configuration).toMatchObject({
    NATS_URL: 'nats://127.0.0.1:4222',
    COPPICE_REPLICAS: 1,
    COPPICE_LOG_LEVEL: 'info',
  });
  expect(path.isAbsolute(configuration.COPPICE_DATA)).toBe(true);
  expect(configuration.COPPICE_NODE).toMatch(/^[a-z0-9][a-z0-9-]*$/);
  expect(connectionFrom(configuration)).toEqual({ servers: 'nats://127.0.0.1:4222' });
});

test('an empty variable counts as unset', () => {
  expect(readConfiguration(common, { NATS_USER: '', COPPICE_HEALTH_PORT: '' })).not.toHaveProperty('NATS_USER');
});

test('lists, flags and numbers are read', () => {
  const schema = z.object({ FOLDERS: pathListVariable, ON: flagVariable, OFF: flagVariable });
  expect(readConfiguration(schema, { FOLDERS: `/a${path.delimiter}/b/../c`, ON: 'Yes', OFF: '0' })).toEqual({
    FOLDERS: ['/a', '/c'],
    ON: true,
    OFF: false,
  });
});

test('each invalid variable is reported with the expected and the received value, but without secrets', () => {
  const schema = common.extend({ PROVIDER_API_KEY: z.string().regex(/^sk-/, 'a key that starts with sk-') });
  const read = () =>
    readConfiguration(schema, {
      COPPICE_HEALTH_PORT: '99999',
      COPPICE_LOG_LEVEL: 'loud',
      PROVIDER_API_KEY: 'hunter2',
      NATS_MONITORING_URL: 'not a URL',
    });
  expect(read).toThrow(ConfigurationError);
  expect(read).toThrow('COPPICE_HEALTH_PORT: expected an integer from 0 to 65535, received "99999"');
  expect(read).toThrow('PROVIDER_API_KEY: expected a key that starts with sk-, received [redacted]');
  expect(read).toThrow(/COPPICE_LOG_LEVEL: expected one of .*silent, received "loud"/);
  expect(read).toThrow('NATS_MONITORING_URL: expected an address such as');
  expect(read).not.toThrow('hunter2');
});

test('credentials may come from a file', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'credentials.json');
  const connection = () =>
    connectionFrom(readConfiguration(common, { NATS_CREDENTIALS_FILE: file, NATS_USER: 'other' }));
  expect(connection).toThrow(/NATS_CREDENTIALS_FILE.*can not be read/);
  await writeFile(file, '{"user": "me", "password": hunter2}');
  expect(connection).toThrow('which is not JSON');
  expect(connection).not.toThrow('hunter2');
  await writeFile(file, '{"user": "me"}');
  expect(connection).toThrow('where password is missing');
  await writeFile(file, '{"user": "me", "password": "secret"}');
  expect(connection()).toMatchObject({ user: 'me', password: 'secret' });
});

test.each([
  ['Laptop.local', 'laptop-local'],
  ['--_x', 'x'],
  ['ünï', 'n-'],
  ['', 'localhost'],
  ['a'.repeat(100), 'a'.repeat(63)],
])('the host %s is the node %s', (host, node) => {
  expect(nodeNameOfHost(host)).toBe(node);
});
