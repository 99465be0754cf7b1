import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { dockerSeccompProfile, seccompOptions } from './docker-seccomp.ts';
import { absentCalls, refusedCalls } from './system-calls.ts';

interface Profile {
  defaultAction: string;
  syscalls: { names: string[]; action: string; args?: { index: number; value: number; valueTwo: number }[] }[];
}
const profile = JSON.parse(dockerSeccompProfile()) as Profile;

/** Decides as libseccomp does. A call is allowed if any of its rules matches. */
const allows = (name: string, ...values: number[]): boolean =>
  profile.syscalls.some(
    ({ names, action, args = [] }) =>
      names.includes(name) &&
      action === 'SCMP_ACT_ALLOW' &&
      args.every(({ index, value, valueTwo }) => (BigInt(values[index] ?? 0) & BigInt(value)) === BigInt(valueTwo)),
  );

test('allows only calls that it names, and none of the calls that a sandbox must not make', () => {
  expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO');
  for (const name of [...Object.keys(refusedCalls), ...Object.keys(absentCalls)]) expect(allows(name)).toBe(false);
  for (const name of ['read', 'execve', 'futex', 'openat', 'landlock_restrict_self']) expect(allows(name)).toBe(true);
});

test('only the low word of an argument is compared', () => {
  const high = 2 ** 32;
  for (const request of [0x5412, 0x541c]) {
    for (const value of [request, request + high]) expect(allows('ioctl', 0, value)).toBe(false);
    for (const value of [request - 1, request + 1, request ^ 0x80000000])
      expect(allows('ioctl', 0, value >>> 0)).toBe(true);
  }
  for (const value of [0, 0xffffffff, 0x5401]) expect(allows('ioctl', 0, value)).toBe(true);
  expect(allows('socket', 2)).toBe(true);
  for (const family of [0, 17, 38, 40, 40 + high]) expect(allows('socket', family)).toBe(false);
  expect(allows('clone', 0x3d0f00)).toBe(true);
  expect(allows('clone', 0x10000011)).toBe(false);
});

test("Docker gets the profile as text and Podman as a path; a daemon that can't filter gets none", async () => {
  await using folder = await temporaryFolder('seccomp');
  const translation = (file: string) => `/of-the-daemon/${path.basename(file)}`;
  const docker = { version: {}, info: { SecurityOptions: ['name=seccomp,profile=default'] } };
  expect(await seccompOptions(docker, folder.path, translation)).toEqual([`seccomp=${dockerSeccompProfile()}`]);
  const podman = { ...docker, version: { Components: [{ Name: 'Podman Engine' }] } };
  expect(await seccompOptions(podman, folder.path, translation)).toEqual(['seccomp=/of-the-daemon/seccomp.json']);
  expect(await readFile(path.join(folder.path, 'seccomp.json'), 'utf8')).toBe(dockerSeccompProfile());
  for (const info of [{}, { SecurityOptions: null }, { SecurityOptions: ['name=apparmor'] }])
    expect(await seccompOptions({ version: {}, info }, folder.path, translation)).toEqual([]);
});
