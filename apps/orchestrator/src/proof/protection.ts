import type { UnprotectedPart } from '@coppice/contracts';
import { Definitions } from './definitions.ts';

/** Files that decide what is run, elsewhere, without anybody looking. */
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

/** Decides how git merges what lands afterwards: `* merge=union` would join conflicting lines without a word. */
const mergeRules = ['.gitattributes'];

/** Folders of dependencies. Where they are committed, what lies there runs as a part of the verify command. */
const dependencyFolders = ['node_modules', 'bower_components', 'vendor', '.venv', 'venv', '.bin', 'Pods'];

export type Protection = {
  /** Globs of protected files. */
  protect: string[];
  unprotected: UnprotectedPart[];
};

/**
 * What is protected: CI configuration, how git merges, what the commands run and what defines them, and what the run file adds. An entry of the run file that begins
 * with `!` takes exactly that glob out again; `!**` takes out all that it didn't name itself.
 * @param commands those that decide the proof: `verify`, and a setup that runs again on the changed tree
 * @param definitions of the request that the commands are from
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
    unprotected: found.flatMap(({ unprotected }) => unprotected),
  };
}
