import { expect, test } from 'vitest';
import { foundSocket } from './programs.ts';

const setup = { uid: 1000, dockerSocket: '/run/user/1000/docker.sock' };
const one = { uid: 1000, environment: {} };

test('only the user who ran set-up gets the socket that it found', () => {
  expect(foundSocket(setup, one)).toBe(setup.dockerSocket);
  expect(foundSocket(setup, { ...one, uid: 1001 })).toBeUndefined();
  expect(foundSocket({ ...setup, dockerSocket: null }, one)).toBeUndefined();
  expect(foundSocket({ dockerSocket: setup.dockerSocket }, one)).toBe(setup.dockerSocket);
  expect(foundSocket(null, one)).toBeUndefined();
});

test('DOCKER_HOST takes precedence over the socket that set-up found', () => {
  expect(foundSocket(setup, { ...one, environment: { DOCKER_HOST: 'unix:///run/other.sock' } })).toBeUndefined();
});
