/**
 * Lists of patterns that limit which repositories each tenant may use.
 *
 * Invariants:
 * 1. The name is checked before the repository is accessed, so a rejection doesn't reveal whether the repository
 *    exists.
 * 2. The real paths of the folder and of its git directory are checked again once they are known, so no symbolic link
 *    leads out of the allowed folders.
 * 3. own-parts.ts checks the content of the git directory, so that nothing in it leads git to other folders.
 * 4. If lists are configured, a tenant without a list may use no repository. Without lists, every repository is
 *    allowed.
 */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { redactText, type Address } from './address.ts';
import { foreignPart } from './own-parts.ts';
import { plainFolder, plainUrl, type PlainName } from './plain-name.ts';

/**
 * Patterns by tenant. A pattern is an absolute path or a URL. `*` matches any text within one part of the path. `/**`
 * at the end matches everything below. The pattern `**` matches everything.
 */
export type AllowedLists = Readonly<Record<string, readonly string[]>>;

/** If `deep` is true, the pattern matches everything below its parts. Otherwise it matches only the exact path. */
type Pattern = { kind: PlainName['kind']; parts: readonly string[]; deep: boolean };
type Allowed = { named: readonly Pattern[]; lying: readonly Pattern[] };

const everything = '**';
const allBelow = '/**';
const shownCharactersMax = 300;

export class AllowedRepositories {
  /** Patterns by tenant. A tenant with the value null may use every repository. */
  readonly #lists: ReadonlyMap<string, Allowed | null> | null;

  /**
   * `lists`: null if every tenant may use every repository.
   * @throws RangeError if a pattern is invalid
   */
  constructor(lists: AllowedLists | null) {
    this.#lists = lists && new Map(Object.entries(lists).map(([tenant, patterns]) => [tenant, allowedBy(patterns)]));
  }

  get areLimited(): boolean {
    return this.#lists !== null;
  }

  of(tenant: string): TenantRepositories {
    const allowed = this.#lists === null ? null : this.#lists.get(tenant);
    return new TenantRepositories(tenant, allowed === undefined ? { named: [], lying: [] } : allowed);
  }
}

export class TenantRepositories {
  readonly #tenant: string;
  readonly #allowed: Allowed | null;

  constructor(tenant: string, allowed: Allowed | null) {
    this.#tenant = tenant;
    this.#allowed = allowed;
  }

  get areLimited(): boolean {
    return this.#allowed !== null;
  }

  /** `written` is the address as written in the request. @throws CoppiceError `permission-denied` */
  requireName(address: Address, written: string): void {
    if (this.#allowed === null) return;
    const name = address.kind === 'local' ? plainFolder(address.path) : plainUrl(address.url);
    if (name === null || !this.#allowed.named.some((pattern) => matches(pattern, name))) throw this.#refusal(written);
  }

  /**
   * The path must not contain symbolic links. `written` is the address in the request that led to the folder.
   * @throws CoppiceError `permission-denied`
   */
  requireFolder(folder: string, written: string): void {
    if (!this.#mayLie(folder)) throw this.#refusal(written);
  }

  /**
   * Checks a git directory and everything that git reads in it. The path must not contain symbolic links. @throws
   * CoppiceError `permission-denied`
   */
  requireGitDir(gitDir: string, written: string): void {
    this.requireFolder(gitDir, written);
    if (this.#allowed === null) return;
    const reason = foreignPart(gitDir, (other) => this.#mayLie(other));
    if (reason === null) return;
    const expected = 'a repository whose git directory leads nowhere else';
    throw denied(expected, `${shown(written)}: ${reason}`);
  }

  #mayLie(folder: string): boolean {
    const name = plainFolder(folder);
    return this.#allowed?.lying.some((pattern) => matches(pattern, name)) ?? true;
  }

  #refusal(written: string): CoppiceError {
    const list = 'by the list that the operator of this stack maintains';
    const expected =
      this.#allowed?.named.length === 0
        ? `no repository, since tenant "${this.#tenant}" may use none`
        : `a repository that tenant "${this.#tenant}" may use, ${list}`;
    return denied(expected, shown(written));
  }
}

const shown = (written: string): string => JSON.stringify(redactText(written).slice(0, shownCharactersMax));

const denied = (expected: string, received: string): CoppiceError =>
  new CoppiceError('permission-denied', `repository: expected ${expected}, got ${received}`, {
    details: { issues: [{ field: 'repository', expected, received }] },
  });

function matches({ kind, parts, deep }: Pattern, name: PlainName): boolean {
  const isAsLong = deep ? name.parts.length > parts.length : name.parts.length === parts.length;
  return kind === name.kind && isAsLong && parts.every((part, index) => matchesPart(part, name.parts[index] ?? ''));
}

/** Matches one part of a path. A pattern's part has at most one star. */
function matchesPart(pattern: string, part: string): boolean {
  const [before = '', after] = pattern.split('*');
  if (after === undefined) return pattern === part;
  return part.length >= before.length + after.length && part.startsWith(before) && part.endsWith(after);
}

function allowedBy(patterns: readonly string[]): Allowed | null {
  if (patterns.includes(everything)) return null;
  const parsed = patterns.map(patternOf);
  const lying = parsed.map(lyingAt);
  return { named: [...parsed, ...lying], lying };
}

/** @throws RangeError */
function patternOf(text: string): Pattern {
  const deep = text.endsWith(allBelow);
  const fixed = deep ? text.slice(0, -allBelow.length) : text;
  const name = text.startsWith('/') ? plainFolder(fixed === '' ? '/' : fixed) : urlPattern(fixed, deep);
  if (name === null) throw new RangeError(`${JSON.stringify(text)} is neither an absolute path nor a plain URL`);
  if (name.parts.some((part) => part.split('*').length > 2))
    throw new RangeError(`${JSON.stringify(text)} may have one * in each part of its path, and /** at its end`);
  return { ...name, deep };
}

/** Parses a pattern of URLs. A pattern for a whole server, `https://host/**`, has no path before `/**`. */
function urlPattern(fixed: string, deep: boolean): PlainName | null {
  const name = plainUrl(fixed, true);
  if (name !== null || !deep) return name;
  const server = plainUrl(`${fixed}/x`, true);
  return server && { ...server, parts: server.parts.slice(0, -1) };
}

/**
 * Resolves symbolic links in the part of a path pattern before its first `*`. Later changes of these links have no
 * effect.
 */
function lyingAt(pattern: Pattern): Pattern {
  const { kind, parts } = pattern;
  if (kind === 'remote') return pattern;
  const star = parts.findIndex((part) => part.includes('*'));
  const fixed = star === -1 ? parts : parts.slice(0, star);
  try {
    const real = plainFolder(realpathSync(join('/', ...fixed)));
    return { ...pattern, parts: [...real.parts, ...parts.slice(fixed.length)] };
  } catch {
    // The folder doesn't exist yet, so there is no link to resolve.
    return pattern;
  }
}
