/**
 * One way to write what names a repository, in which names and patterns are compared.
 *
 * Invariant: what git, ssh, curl or a server could read differently than it stands here has no plain name. So nothing in a URL is decoded or resolved:
 * one with a percent sign (but for a space), a backslash, a dot as a part, an empty part, a query, or a letter beyond ASCII has none.
 */
import { resolve } from 'node:path';

/** The first part of a URL is all before its path. */
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

/** A folder by its path, however its parts are written; the repository of a `.git` folder is where that lies. Links are not followed. */
export const plainFolder = (path: string): PlainName => ({
  kind: 'local',
  parts: resolve(path)
    .replace(/\/\.git$/, '')
    .split('/')
    .filter((part) => part !== ''),
});

/** Null for an address that has none. `wildcards`: its parts are those of a pattern. */
export function plainUrl(address: string, wildcards = false): PlainName | null {
  const whole = url.exec(address);
  const brief = whole === null ? short.exec(address) : null;
  if (whole !== null) {
    const [, scheme = '', user, server = '', port, path = ''] = whole;
    return withPath(serverOf(scheme.toLowerCase(), user, server, port), path, wildcards);
  }
  if (brief === null) return null;
  const [, user, server = '', path = ''] = brief;
  // Below the home of that user, which isn't the server's own root.
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
