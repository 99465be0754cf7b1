import type { UnprotectedPart } from '@coppice/contracts';
import { Definitions } from './definitions.ts';

/** CI configuration. It decides what runs unattended elsewhere. */
const continuousIntegration = [
  '.github/**',
  '.gitlab-ci.yml',
  '.gitlab/**',
  '.circleci/**',
  '.ci/**',
  '.forgejo/**',
  '.gitea/**',
  '.woodpecker/**',
  '.woodpecker.yml',
  '.travis.yml',
  '.buildkite/**',
  'azure-pipelines.yml',
  'bitbucket-pipelines.yml',
  'Jenkinsfile',
];

/** Files that decide how git merges later changes. For example, `* merge=union` silently joins conflicting lines. */
const mergeRules = ['.gitattributes'];

/** Folders of dependencies. If they are committed, the verify command runs their code. */
const dependencyFolders = ['node_modules', 'bower_components', 'vendor', '.venv', 'venv', '.bin', 'Pods'];

export type Protection = {
  protect: string[];
  unprotected: UnprotectedPart[];
};

/**
 * Lists the protected files. These are CI configuration, git's merge rules, the files that the commands run, the files
 * that define the commands, and the run file's own entries. An entry of the run file that begins with `!` removes
 * exactly that glob. `!**` removes all globs that the run file doesn't list.
 * @param commands commands that decide whether a task is verified: `verify`, and a setup that runs again on the changed
 * tree
 * @param definitions cache for the commands of the request
 */
export function protectionOf(
  commands: readonly string[],
  own: readonly string[],
  definitions: Definitions = new Definitions(),
): Protection {
  const excepted = new Set(own.filter((entry) => entry.startsWith('!')).map((entry) => entry.slice(1)));
  const added = own.filter((entry) => !entry.startsWith('!'));
  if (excepted.has('**')) return { protect: [...new Set(added)], unprotected: [] };
  const found = commands.map((command) => definitions.of(command));
  const standard = [
    ...continuousIntegration,
    ...mergeRules,
    ...(commands.length === 0 ? [] : dependencyFolders),
    ...found.flatMap(({ files }) => files),
  ];
  return {
    protect: [...new Set([...standard, ...added])].filter((glob) => !excepted.has(glob)),
    // A run file that protects its own files is expected to include the files that the scripts load.
    unprotected: found.flatMap(({ unprotected, unfollowed }) =>
      added.length > 0 ? unprotected : [...unprotected, ...unfollowed],
    ),
  };
}
