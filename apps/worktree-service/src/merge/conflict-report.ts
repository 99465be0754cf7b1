import type { z } from 'zod';
import type { worktreeOperations } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { printable, textOf } from '../import/path-rules.ts';
import type { Store } from '../repository/store.ts';

type Conflict = Extract<z.infer<typeof worktreeOperations.prepareMerge.output>, { status: 'conflict' }>;
export type LandedChange = Conflict['landed'][number];

/** Limits of the report. The task's state contains the report and is written on every step. */
const limits = { paths: 10, commitsPerPath: 3, subjectCharacters: 100, historyCommits: 1_000 } as const;

/** Form of a task id. Anybody can write the trailer, so values of another form don't count. */
const plainId = /^[a-z0-9]{1,40}$/;

/** Separators in git's output. If a commit's subject contains one, only the report is wrong. */
const recordMark = '\x1e';
const fieldMark = '\x1f';

/**
 * Lists for each path the target's commits that changed it and that the task's history doesn't contain, newest first. A
 * landing or merge counts as one commit, since only the first-parent history is read. `paths` are byte strings.
 */
export async function landedMeanwhile(
  context: Context,
  store: Store,
  parts: { tip: string; taskCommit: string; paths: readonly string[]; signal: AbortSignal | undefined },
): Promise<LandedChange[]> {
  const paths = parts.paths.slice(0, limits.paths);
  const named = paths.map(textOf).filter((path) => path !== undefined);
  const commits = named.length === 0 ? [] : await history(context, store, { ...parts, paths: named });
  return paths.map((path) => ({
    path: printable(path),
    commits: commits
      .filter(({ files }) => files.has(path))
      .slice(0, limits.commitsPerPath)
      .map(({ commit, taskId, subject }) => ({ commit, subject, taskId })),
  }));
}

async function history(
  context: Context,
  store: Store,
  parts: { tip: string; taskCommit: string; paths: string[]; signal: AbortSignal | undefined },
) {
  const trailer = '%(trailers:key=Coppice-Task,valueonly,separator=%x2C)';
  const format = [recordMark + '%H', trailer, '%s', ''].join(fieldMark);
  const line = ['--first-parent', '--diff-merges=first-parent', `--max-count=${limits.historyCommits}`];
  // Without `--sparse`, git omits a merge whose first parent is the commit that both histories share.
  const options = ['-z', '--sparse', '--name-only', '--no-renames', '--no-ext-diff', `--format=${format}`];
  const paths = parts.paths.map((path) => `:(literal,top)${path}`);
  const { stdout } = await context.git.run(
    ['log', ...line, ...options, parts.tip, `^${parts.taskCommit}`, '--', ...paths],
    { ...store.tasks, signal: parts.signal },
  );
  const records = stdout.toString('latin1').split(recordMark).slice(1);
  return records.map((record) => {
    const [commit = '', taskId = '', ...rest] = record.split(fieldMark);
    const files = (rest.pop() ?? '').split('\0').map((file) => file.replace(/^\n/, ''));
    return {
      commit,
      taskId: plainId.test(taskId) ? taskId : null,
      subject: subjectOf(rest.join(' ')),
      files: new Set(files),
    };
  });
}

const subjectOf = (bytes: string): string =>
  Array.from(
    Buffer.from(bytes, 'latin1')
      .toString('utf8')
      .replaceAll(/\p{Cc}/gu, ' '),
  )
    .slice(0, limits.subjectCharacters)
    .join('');
