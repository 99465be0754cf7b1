import { readFileSync } from 'node:fs';
import path from 'node:path';
import { nodesIn } from '@coppice/bus';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { runProgram } from '../program.ts';
import { fakeTerminal } from '../test-support/fake-terminal.ts';

async function run(...typed: string[]) {
  const terminal = fakeTerminal({ interactive: false });
  const session = { terminal, environment: {}, tenant: 'default', interrupted: new AbortController().signal };
  const code = await runProgram(typed, session);
  return { code, output: terminal.output.join(''), complaints: terminal.complaints.join('\n') };
}

async function usersFolder() {
  const folder = await temporaryFolder('bus-users');
  const users = path.join(folder.path, 'users');
  const accounts = () => readFileSync(path.join(users, 'accounts.conf'), 'utf8');
  return {
    accounts,
    make: (...typed: string[]) => run('bus-users', '--folder', users, ...typed),
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}

test('a repeated run keeps the existing nodes and their permissions', async () => {
  await using users = await usersFolder();
  await users.make('--node', 'host-1', '--node', 'host-2');
  const both = users.accounts();
  expect(nodesIn(both)).toEqual(['host-1', 'host-2']);
  await users.make('--node', 'host-1');
  expect(users.accounts()).toBe(both);
  await users.make();
  expect(users.accounts()).toBe(both);
  expect((await users.make('--publisher', 'acme', '--node', 'host-3')).output).toContain(
    'nodes: host-1, host-2, host-3',
  );
  expect(nodesIn(users.accounts())).toEqual(['host-1', 'host-2', 'host-3']);
});

test('if no node is named and none exists, it makes node-1', async () => {
  await using users = await usersFolder();
  await users.make();
  expect(nodesIn(users.accounts())).toEqual(['node-1']);
});

test('--remove-node removes a node and every mention of its name', async () => {
  await using users = await usersFolder();
  await users.make('--node', 'host-1');
  const one = users.accounts();
  await users.make('--node', 'host-2');
  expect((await users.make('--node', 'host-1', '--remove-node', 'host-2')).code).toBe(0);
  expect(users.accounts()).toBe(one);
});

test.for([
  [['--remove-node', 'host-3'], '--remove-node: expected one of host-1, host-2, received "host-3"'],
  [
    ['--node', 'host-1', '--remove-node', 'host-1'],
    '--remove-node: expected a node that --node does not name, received "host-1"',
  ],
  [
    ['--remove-node', 'host-1', 'host-2'],
    '--remove-node: expected at least one remaining node, received the names of all',
  ],
] as const)('%j is refused, and changes nothing', async ([typed, complaint]) => {
  await using users = await usersFolder();
  await users.make('--node', 'host-1', 'host-2');
  const before = users.accounts();
  const { code, complaints } = await users.make(...typed);
  expect({ code, complaints }).toEqual({ code: 2, complaints: expect.stringContaining(complaint) });
  expect(users.accounts()).toBe(before);
});
