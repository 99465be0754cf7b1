import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { BusOptions, Role } from '@coppice/bus';

/** The users that `coppice bus-users` creates. */
export type BusUsers = {
  /**
   * Returns the server configuration for startNatsServer. It has additional users with passwords. `everything` has all
   * permissions in the services' account. Each tenant has a user with the tenant's permissions, such as `acme` with the
   * password `for-acme`.
   */
  configuration: (everything: { user: string; password: string }) => string;
  /** Returns the path of the user's credentials file, for NATS_CREDENTIALS_FILE. */
  file(user: UserName): string;
  credentials(user: UserName): Partial<BusOptions>;
};
export type UserName = Role | `tenant-${string}`;

const mainFile = path.resolve(import.meta.dirname, '../../apps/cli/src/main.ts');

export async function makeBusUsers(options: { folder: string; nodes: string[]; tenants: string[] }): Promise<BusUsers> {
  const { folder, nodes, tenants } = options;
  const named = [...nodes.flatMap((node) => ['--node', node]), ...tenants.flatMap((tenant) => ['--publisher', tenant])];
  await promisify(execFile)(process.execPath, [mainFile, 'bus-users', '--folder', folder, ...named]);
  const file = (user: UserName): string => path.join(folder, `${user}.json`);
  return {
    configuration: ({ user, password }) =>
      tenants.reduce(
        (text, tenant) =>
          text.replace(
            new RegExp(`("TENANT_${tenant}" \\{\\n *users: \\[)(\\{ nkey: \\w+, (.*))\\]$`, 'm'),
            `$1{ user: ${tenant}, password: for-${tenant}, $3, $2]`,
          ),
        readFileSync(path.join(folder, 'accounts.conf'), 'utf8').replace(
          'users: [',
          `users: [\n      { user: ${user}, password: ${JSON.stringify(password)} }`,
        ),
      ),
    file,
    credentials: (user) => JSON.parse(readFileSync(file(user), 'utf8')) as Partial<BusOptions>,
  };
}
