/**
 * `coppice bus-users`: writes the files that define the users of a NATS server into a folder.
 *
 * | file | content | read by |
 * | --- | --- | --- |
 * | `accounts.conf` | accounts of the server, with public keys and permissions of their users | the server, by `include` |
 * | `<role>.json`, `tenant-<name>.json` | seed, inbox prefix or tenant | the service, or the tenant's `coppice`, as NATS_CREDENTIALS_FILE |
 * | `tenant-<name>.nk`, `operator.nk`, `administrator.nk` | only the seed | any other NATS client |
 *
 * Invariants:
 * 1. A repeated call keeps the existing keys and the nodes in accounts.conf, and adds what is missing. Only
 *    `--remove-node` removes a node.
 * 2. A file with a seed is readable only by its owner, even while the file is created.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { accountsConfiguration, inboxPrefixOf, newUserKey, nodesIn, publicKeyOf, roles } from '@coppice/bus';
import type { Role } from '@coppice/bus';
import { serviceNames, tenantSchema, tokenSchema } from '@coppice/contracts';
import { nkeyCredentialsSchema } from '@coppice/service';
import type { NkeyCredentials } from '@coppice/service';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { readJsonFile, readTextFile, writePrivateFile } from '../stack/private-file.ts';
import type { Session } from './session.ts';

const tenantFile = /^tenant-(.+)\.json$/;
const services: ReadonlySet<string> = new Set(serviceNames);
const folderMode = 0o755;
const accountsFile = 'accounts.conf';
const nodeDefault = 'node-1';

export type BusUsersOptions = {
  folder: string;
  node?: readonly string[];
  removeNode?: readonly string[];
  publisher?: readonly string[];
};

/** @throws CliError (bad input) that names the wrong option; no file is written in this case */
export function busUsersCommand({ terminal }: Session, options: BusUsersOptions): ExitCode {
  const folder = path.resolve(options.folder);
  const nodes = nodesFor(path.join(folder, accountsFile), options);
  const requested = (options.publisher ?? []).map((tenant) => requireName('--publisher', tenant, tenantSchema));
  mkdirSync(folder, { recursive: true, mode: folderMode });
  const there = readdirSync(folder).flatMap((file) => tenantFile.exec(file)?.[1] ?? []);
  const tenants = [...new Set([...there, ...requested])].toSorted();
  const made: string[] = [];
  const keyOf = (name: string, rest: Omit<NkeyCredentials, 'nkeySeed'>): string => {
    const { publicKey, isNew } = userIn(folder, name, rest);
    if (isNew) made.push(name);
    return publicKey;
  };
  const keys = {
    roles: Object.fromEntries(roles.map((role) => [role, keyOf(role, { inboxPrefix: inboxPrefixOf(role) })])) as Record<
      Role,
      string
    >,
    tenants: Object.fromEntries(tenants.map((tenant) => [tenant, keyOf(`tenant-${tenant}`, { tenant })])),
  };
  writePrivateFile(path.join(folder, accountsFile), accountsConfiguration(keys, nodes), { readable: true });
  terminal.out(made.length === 0 ? `no new user in ${folder}` : `new in ${folder}: ${made.join(', ')}`);
  terminal.out(`nodes: ${nodes.join(', ')}`);
  terminal.out(
    'accounts.conf is written. A running server uses it after a reload (SIGHUP); a new account needs a second reload',
  );
  return exitCodes.done;
}

function nodesFor(file: string, { node, removeNode = [] }: BusUsersOptions): string[] {
  const known = nodesIn(readTextFile(file) ?? '');
  const requested = (node ?? []).map((name) => requireName('--node', name, tokenSchema));
  const named = new Set([...known, ...requested]);
  const nodes = named.size === 0 ? [nodeDefault] : [...named];
  for (const name of removeNode) requireRemovable(name, { known, requested });
  const kept = nodes.filter((name) => !removeNode.includes(name));
  if (kept.length > 0) return kept.toSorted();
  throw new CliError(
    exitCodes.badInput,
    '--remove-node: expected at least one remaining node, received the names of all',
  );
}

function requireRemovable(name: string, { known, requested }: { known: string[]; requested: string[] }): void {
  const received = JSON.stringify(name);
  if (requested.includes(name))
    throw new CliError(
      exitCodes.badInput,
      `--remove-node: expected a node that --node does not name, received ${received}`,
    );
  if (!known.includes(name))
    throw new CliError(
      exitCodes.badInput,
      `--remove-node: expected one of ${known.join(', ') || 'none'}, received ${received}`,
    );
}

function userIn(
  folder: string,
  name: string,
  rest: Omit<NkeyCredentials, 'nkeySeed'>,
): { publicKey: string; isNew: boolean } {
  const file = path.join(folder, `${name}.json`);
  const found = readJsonFile(file);
  const isNew = found === null;
  const credentials = { ...(isNew ? { nkeySeed: newUserKey().seed } : requireSeed(file, found)), ...rest };
  if (!isDeepStrictEqual(credentials, found)) writePrivateFile(file, `${JSON.stringify(credentials)}\n`);
  // Services read the JSON file. Other NATS clients expect a file with only the seed.
  if (!services.has(name)) writePrivateFile(path.join(folder, `${name}.nk`), `${credentials.nkeySeed}\n`);
  return { publicKey: publicKeyOf(credentials.nkeySeed), isNew };
}

function requireSeed(file: string, found: unknown): NkeyCredentials {
  const parsed = nkeyCredentialsSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  throw new CliError(exitCodes.badInput, `${file}: expected the seed of a user (nkeySeed), received something else`);
}

function requireName(option: string, name: string, schema: typeof tokenSchema): string {
  if (schema.safeParse(name).success) return name;
  throw new CliError(
    exitCodes.badInput,
    `${option}: expected lower-case letters, digits and dashes, at most 63, received ${JSON.stringify(name)}`,
  );
}
