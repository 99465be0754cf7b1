/**
 * Plain form of a repository's name. Names and patterns are compared in this form.
 *
 * Invariant: if git, ssh, curl and a server could interpret a name in different ways, the name has no plain form. So
 * nothing in a URL is decoded or resolved. A URL has no plain form if it contains a percent sign (except `%20`), a
 * backslash, `.` or `..` as a part, an empty part, a query, or a letter beyond ASCII.
 */
import { resolve } from 'node:path';

/** Parts of a name. The first part of a URL is everything before its path. */
export type PlainName = { kind: 'local' | 'remote'; parts: readonly string[] };

const host = String.raw`[a-z0-9](?:[\w.-]*[a-z0-9])?`;
const url = new RegExp(
  String.raw`^(https?|ssh|git)://(?:([\w.-]+)@)?(${host}|\[[0-9a-f:.]+\])(?::(\d{1,5}))?/(.*)$`,
  'i',
);
/** Git's short form of ssh: `user@host:path`. */
const short = new RegExp(String.raw`^(?:([\w.-]+)@)?(${host}):(.*)$`, 'i');
const ports: Readonly<Record<string, number>> = { http: 80, https: 443, ssh: 22, git: 9418 };
const namePart = /^(?:[\w.~+@=,:-]|%20)+$/;
const patternPart = /^(?:[\w.~+@=,:*-]|%20)+$/;

/**
 * Returns the plain form of a folder's path. For a `.git` folder, this is the form of the folder that contains it. Symbolic links are not
 * followed.
 */
export const plainFolder = (path: string): PlainName => ({
  kind: 'local',
  parts: resolve(path)
    .replace(/\/\.git$/, '')
    .split('/')
    .filter((part) => part !== ''),
});

/**
 * Returns the plain form of a URL, or null if it has none. If `wildcards` is true, the URL is a pattern and may contain
 * `*`.
 */
export function plainUrl(address: string, wildcards = false): PlainName | null {
  const whole = url.exec(address);
  const brief = whole === null ? short.exec(address) : null;
  if (whole !== null) {
    const [, scheme = '', user, server = '', port, path = ''] = whole;
    return withPath(serverOf(scheme.toLowerCase(), user, server, port), path, wildcards);
  }
  if (brief === null) return null;
  const [, user, server = '', path = ''] = brief;
  // A relative path starts at the user's home folder on the server, so the plain form contains the user.
  if (!path.startsWith('/'))
    return withPath(`${user === undefined ? '' : `${user}@`}${server.toLowerCase()}:`, path, wildcards);
  return withPath(serverOf('ssh', user, server, undefined), path.slice(1), wildcards);
}

function serverOf(scheme: string, user: string | undefined, server: string, port: string | undefined): string {
  const isDefault = port === undefined || Number(port) === ports[scheme];
  return `${scheme}://${user === undefined ? '' : `${user}@`}${server.toLowerCase()}${isDefault ? '' : `:${Number(port)}`}`;
}

function withPath(server: string, path: string, wildcards: boolean): PlainName | null {
  const parts = path
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/');
  const form = wildcards ? patternPart : namePart;
  const isPlain = parts.every((part) => form.test(part) && part !== '.' && part !== '..');
  return isPlain ? { kind: 'remote', parts: [server, ...parts] } : null;
}
