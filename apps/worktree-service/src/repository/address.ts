import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CoppiceError } from '@coppice/contracts';

export type Address = { kind: 'local'; path: string } | { kind: 'remote'; url: string };

const remoteProtocols = ['https:', 'http:', 'ssh:', 'git:'];
/**
 * Git's short form of an ssh URL: `user@host:path`. The host must not start with a dash, since ssh would parse it as an
 * option. Between the host and the first slash there must be no `@`, since a password could precede it.
 */
const shortSsh = /^(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/|:)[^/@]*(?:\/.*)?$/;
const tokenParameters =
  'private_token|access_token|auth_token|oauth_token|job_token|api_token|token|api_key|apikey|auth|key|password|passwd|secret|sig|signature|x-amz-signature';
const tokenInQuery = new RegExp(`([?&](?:${tokenParameters})=)[^\\s&#'"]*`, 'gi');
/** User information in a URL. The scheme's length is limited so that a text without a scheme is searched in linear time. */
const userInfo = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#\\]*@/gi;
const control = /\p{Cc}/u;

const refuse = (field: string, expected: string, received: string) =>
  new CoppiceError('invalid-request', `${field}: expected ${expected}, got ${received}`, {
    details: { issues: [{ field, expected, received }] },
  });

/**
 * Throws `invalid-request` if the address is neither an absolute path nor a supported URL, or if it contains a password
 * or token.
 */
export function parseAddress(address: string): Address {
  const expected = 'an absolute path, or an https, ssh, git or file URL';
  // The text is cut to 300 characters after the redaction. An earlier cut could remove the `@` that marks a password.
  const shown = redactText(address.slice(0, 4_000))
    .replace(/^[^\s/?#]*@/, '***@')
    .slice(0, 300);
  if (control.test(address) || address.startsWith('-')) throw refuse('repository', expected, JSON.stringify(shown));
  if (isAbsolute(address)) return { kind: 'local', path: address };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url?.protocol === 'file:') return { kind: 'local', path: pathOf(url, shown) };
    if (url === undefined || !remoteProtocols.includes(url.protocol) || url.hostname.startsWith('-')) {
      throw refuse('repository', expected, shown);
    }
    if (url.password !== '') {
      throw refuse('repository', 'an address without a password (use a credential helper of git)', shown);
    }
    if (url.username !== '' && url.protocol !== 'ssh:') {
      const without = 'an address without a user name, which may be a token (use a credential helper of git)';
      throw refuse('repository', without, shown);
    }
    if (redactText(url.search) !== url.search) {
      throw refuse('repository', 'an address without a token (use a credential helper of git)', shown);
    }
    return { kind: 'remote', url: address };
  }
  if (shortSsh.test(address)) return { kind: 'remote', url: address };
  throw refuse('repository', expected, shown);
}

/** Converts a `file:` URL to a path, so that all checks of local folders apply to it. */
function pathOf(url: URL, shown: string): string {
  const expected = 'a file URL of this machine (file:///path)';
  if (url.hostname !== '' || url.search !== '' || url.hash !== '') throw refuse('repository', expected, shown);
  let path = '';
  try {
    path = fileURLToPath(url);
  } catch {
    // The URL contains an encoded slash, so no path is set.
  }
  if (path === '' || control.test(path)) throw refuse('repository', expected, shown);
  return path;
}

/** Derives a repository's id from its canonical address, so that all addresses of the repository give the same id. */
export const repositoryIdOf = (canonical: string): string =>
  createHash('sha256').update(canonical).digest('hex').slice(0, 20);

/** Removes passwords, tokens and user names from the URLs in a text. A user name may be a token. */
export const redactText = (text: string): string => text.replace(userInfo, '$1***@').replace(tokenInQuery, '$1***');
