import { expect, test } from 'vitest';
import { daemonAddress } from './docker-daemon.ts';

test.each([
  [{}, { socketPath: '/var/run/docker.sock' }],
  [{ DOCKER_HOST: 'unix:///run/user/1000/docker.sock' }, { socketPath: '/run/user/1000/docker.sock' }],
  [{ DOCKER_HOST: 'tcp://127.0.0.1:2376' }, { host: '127.0.0.1', port: 2376 }],
  [{ DOCKER_HOST: 'tcp://daemon' }, { host: 'daemon', port: 2375 }],
  [{ DOCKER_HOST: 'unix:///a', COPPICE_DOCKER_SOCKET: '/b' }, { socketPath: '/b' }],
])('%j names the daemon at %j', (environment, address) => {
  expect(daemonAddress(environment)).toEqual(address);
});

test.each([{ DOCKER_HOST: 'ssh://host' }, { DOCKER_HOST: 'tcp://host:2376', DOCKER_TLS_VERIFY: '1' }])(
  '%j is rejected with an error that names the variable',
  (environment) => {
    expect(() => daemonAddress(environment)).toThrow(`DOCKER_HOST=${environment.DOCKER_HOST}`);
  },
);
