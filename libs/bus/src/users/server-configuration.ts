import { anyPool, subjects } from '@coppice/contracts';
import { busLimits } from '../limits.ts';
import { permissionsOf, roles, shareOf } from './permissions.ts';
import type { Permissions, Role } from './permissions.ts';

/** Public keys (`U…`) of all users. */
export type UserKeys = {
  roles: Readonly<Record<Role, string>>;
  tenants: Readonly<Record<string, string>>;
};

const servicesAccount = 'COPPICE';
const tenantAccount = (tenant: string): string => `TENANT_${tenant}`;

const authenticationSecondsMax = 10;

/**
 * Returns the server's configuration of accounts. The services and the operator share one account, the only one with
 * JetStream. Each tenant has its own account, which imports only its own requests and events. The answer to a tenant's
 * request is always delivered in the tenant's account, whatever its reply subject is.
 */
export function accountsConfiguration(keys: UserKeys, nodes: readonly string[]): string {
  const tenants = Object.entries(keys.tenants);
  const users = roles.map((role) => `      ${user(keys.roles[role], permissionsOf(role, nodes))}`);
  const exports = exportsTo(Object.keys(keys.tenants)).map((line) => `      ${line}`);
  return [
    // The server's default of two seconds is too short for a client that starts on a busy machine.
    `authorization { timeout: ${authenticationSecondsMax} }`,
    'accounts {',
    `  ${servicesAccount} {`,
    '    jetstream: enabled',
    '    users: [',
    ...users,
    '    ]',
    '    exports: [',
    ...exports,
    '    ]',
    '  }',
    ...tenants.flatMap(([tenant, key]) => account(tenant, key)),
    '}',
    '',
  ].join('\n');
}

const nodeCommands = (node: string): string => subjects.command('worktree-service', node, '*');

/** Returns the nodes for which `accountsConfiguration` wrote this configuration. */
export function nodesIn(configuration: string): string[] {
  const [before = '', after = ''] = nodeCommands('NODE').split('NODE');
  const pattern = new RegExp(`${RegExp.escape(before)}([a-z0-9-]+)${RegExp.escape(after)}`, 'g');
  const found = [...configuration.matchAll(pattern)].flatMap(([, node]) => node ?? []);
  return [...new Set(found)].filter((node) => node !== anyPool);
}

const text = (value: string): string => JSON.stringify(value);
const list = (values: readonly string[]): string => `[${values.map(text).join(', ')}]`;

function user(key: string, { publish, subscribe, answers }: Permissions): string {
  const allowed = `publish: ${list(publish)}, subscribe: ${list(subscribe)}`;
  return `{ nkey: ${key}, permissions: { ${allowed}${answers ? ', allow_responses: true' : ''} } }`;
}

const severalAnswers = 'response_type: stream';
/**
 * Time for which the server remembers an unanswered request. With the default of two minutes, a flood of such requests
 * would fill its memory.
 */
const oneAnswer = `threshold: "${busLimits.answeredWithinMs / 1_000}s"`;

/** Each export names all accounts that may import it, since some requests have the same subject for all tenants. */
function exportsTo(tenants: readonly string[]): string[] {
  const accounts = new Map<string, string[]>();
  for (const tenant of tenants) {
    const { services, streams } = shareOf(tenant);
    const heads = [
      ...services.map(({ subject, many }) => `service: ${text(subject)}, ${many ? severalAnswers : oneAnswer}`),
      ...streams.map((subject) => `stream: ${text(subject)}`),
    ];
    for (const head of heads) accounts.set(head, [...(accounts.get(head) ?? []), tenantAccount(tenant)]);
  }
  return [...accounts].map(([head, names]) => `{ ${head}, accounts: ${list(names)} }`);
}

function account(tenant: string, key: string): string[] {
  const { services, streams } = shareOf(tenant);
  const permissions: Permissions = {
    publish: services.map(({ as }) => as),
    // The tenant doesn't share the account, so clients need no inbox prefix of their own.
    subscribe: ['_INBOX.>', `_INBOX_${tenant}.>`, ...streams],
    answers: false,
  };
  const mapped = services.filter(({ clientSubject, as }) => as !== clientSubject);
  const from = (subject: string) => `{ account: ${servicesAccount}, subject: ${text(subject)} }`;
  return [
    `  ${text(tenantAccount(tenant))} {`,
    `    users: [${user(key, permissions)}]`,
    '    mappings: {',
    ...mapped.map(({ clientSubject, as }) => `      ${text(clientSubject)}: ${text(numbered(as))}`),
    '    }',
    '    imports: [',
    ...services.map(
      ({ subject, as }) => `      { service: ${from(subject)}${as === subject ? '' : `, to: ${text(as)}`} }`,
    ),
    ...streams.map((subject) => `      { stream: ${from(subject)} }`),
    '    ]',
    '  }',
  ];
}

/** Replaces each `*` with `$` and its number, as a mapping's target requires. */
function numbered(subject: string): string {
  let count = 0;
  return subject.replaceAll('*', () => `$${++count}`);
}
