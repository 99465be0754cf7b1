import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { CoppiceError } from '@coppice/contracts';

/** How a repository is named: a folder of this machine, or a URL. */
export type Address = { kind: 'local'; path: string } | { kind: 'remote'; url: string };

const protocols = ['https:', 'http:', 'ssh:', 'git:', 'file:'];
/** `user@host:path`, git's short form of ssh. The host may not start with a dash, which ssh would take for an option. */
const shortSsh = /^(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/|:).+$/;

const refuse = (field: string, expected: string, received: string) =>
  new CoppiceError('invalid-request', `${field}: expected ${expected}, got ${received}`, {
    details: { issues: [{ field, expected, received }] },
  });

/** Throws `invalid-request` for what is neither, and for an address that holds a password. */
export function parseAddress(address: string): Address {
  const expected = 'an absolute path, or an https, ssh, git or file URL';
  const shown = redactText(address.slice(0, 300));
  if (/\p{Cc}/u.test(address) || address.startsWith('-')) throw refuse('repository', expected, JSON.stringify(shown));
  if (isAbsolute(address)) return { kind: 'local', path: address };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url === undefined || !protocols.includes(url.protocol) || url.hostname.startsWith('-')) {
      throw refuse('repository', expected, shown);
    }
    if (url.password !== '') {
      throw refuse('repository', 'an address without a password (use a credential helper of git)', shown);
    }
    return { kind: 'remote', url: address };
  }
  if (shortSsh.test(address)) return { kind: 'remote', url: address };
  throw refuse('repository', expected, shown);
}

/** One repository has one id, however it was named; `canonical` is its canonical address. */
export const repositoryIdOf = (canonical: string): string =>
  createHash('sha256').update(canonical).digest('hex').slice(0, 20);

/** Takes user names and passwords out of the URLs in a text: a user name may be a token. */
export const redactText = (text: string): string => text.replace(/\b(https?:\/\/)[^\s/@]+@/gi, '$1***@');
