import { globOfFile } from './paths.ts';

/** Variables through which every started program may load files. */
export const loaders =
  /^(NODE_OPTIONS|RUBYOPT|PERL5OPT|LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|BASH_ENV|ENV|PYTHONSTARTUP|PYTHONHOME|PYTEST_ADDOPTS|PYTEST_PLUGINS|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|MAVEN_OPTS|GRADLE_OPTS|MAKEFILES|MAKEFLAGS|GOFLAGS|RUSTC|RUSTC_WRAPPER|RUSTFLAGS|CARGO_HOME|BUNDLE_GEMFILE|PHPRC|GIT_CONFIG_GLOBAL)$/;
/** Variables with the folders that an interpreter searches for modules before its own folders. */
export const modulePaths = new Set(['PYTHONPATH', 'NODE_PATH', 'RUBYLIB', 'PERL5LIB']);

/**
 * Returns globs for a search path, since any file in its folders may be run as a program. Folders outside the tree are
 * left out.
 */
export function searchPathGlobs(text: string, moved: boolean): string[] {
  return text
    .replaceAll(/["']/g, '')
    .split(':')
    .flatMap((entry) => {
      const folder = entry.replace(/^(\$PWD|\$\{PWD\}|\$\(pwd\)|`pwd`)\/?/, './');
      if (folder === '' || folder.includes('$') || folder.includes('`')) return [];
      if (/^\.?\/?$/.test(folder)) return ['*'];
      const glob = globOfFile(folder, moved);
      return glob === null ? [] : [`${glob}/**`];
    });
}
