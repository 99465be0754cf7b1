import { line } from './text.ts';

/** A path inside the repository. It is relative, has forward slashes, and has no part `.`, `..` or `.git`. */
export const repositoryPathSchema = line(512)
  .regex(/^(?!\/)[^\\]*[^/\\]$/, 'a relative path with forward slashes')
  .regex(/^(?!(?:.*\/)?\.{0,2}(?:\/|$))/, 'a path inside the repository, without . or .. parts')
  .regex(/^(?!(?:.*\/)?\.[gG][iI][tT](?:\/|$))/, 'a path outside .git');
