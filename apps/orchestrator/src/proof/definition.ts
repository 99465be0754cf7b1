/**
 * Finds the files that define what a shell command does: those that it runs, and the configuration of the programs that it starts.
 *
 * Invariants:
 * 1. Every program in the command counts, also one that only some branches of the command run.
 * 2. A program, script or text that isn't known before the command runs is reported, never skipped.
 * 3. Files that those files load aren't followed: the loading files are protected, so a person sees a change to what they load.
 */
import type { UnprotectedPart } from '@coppice/contracts';
import { globOfFile, isTestSource, looksLikeFile, wordAfter } from './paths.ts';
import type { OptionKind, Program } from './program.ts';
import { programNamed } from './programs.ts';
import { parseShell } from './shell.ts';
import type { ShellCommand, ShellWord } from './shell.ts';

export type Definition = { files: string[]; unprotected: UnprotectedPart[] };

const partCharactersMax = 120;
const wordCharactersMax = 40;
const unprotectedMax = 10;
/** Shells in shells: `sh -c "sh -c …"`. */
const depthMax = 8;
/** Number of shell scripts that are analyzed for one command, itself included. */
const scriptsMax = 100;

const remedy = 'name them under protect';
/** Variables whose files are loaded by whatever program is started. */
const loaders =
  /^(NODE_OPTIONS|RUBYOPT|PERL5OPT|LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|BASH_ENV|ENV|PYTHONSTARTUP|PYTHONHOME|PYTEST_ADDOPTS|PYTEST_PLUGINS|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|MAVEN_OPTS|GRADLE_OPTS|MAKEFILES|MAKEFLAGS|GOFLAGS|RUSTC|RUSTC_WRAPPER|RUSTFLAGS|CARGO_HOME|BUNDLE_GEMFILE|PHPRC|GIT_CONFIG_GLOBAL)$/;
/** Variables with folders in which an interpreter looks for modules before its own. */
const modulePaths = new Set(['PYTHONPATH', 'NODE_PATH', 'RUBYLIB', 'PERL5LIB']);
const startsCode = new Set(['eval', 'trap', 'alias']);

/** @param command of bash or POSIX sh */
export function definitionOf(command: string): Definition {
  const definition = new DefinitionFinder();
  definition.script(command);
  const { files, unprotected } = definition;
  return { files: [...files], unprotected: [...unprotected.values()].slice(0, unprotectedMax) };
}

type Place = { command: ShellCommand; functions: ReadonlySet<string>; operandsFromInput: boolean };

class DefinitionFinder {
  readonly files = new Set<string>();
  readonly unprotected = new Map<string, UnprotectedPart>();
  /** True if some command changes the folder. Which commands run after it isn't analyzed. */
  #moved = false;
  #depth = 0;
  #scripts = 0;

  script(source: string): void {
    if (this.#depth >= depthMax || this.#scripts >= scriptsMax)
      return this.#report(
        source,
        `there are too many shells in shells to look into: name the files that they run under protect`,
      );
    this.#scripts++;
    this.#depth++;
    const { commands, functions, errors } = parseShell(source);
    const [error] = errors;
    if (error !== undefined)
      this.#report(
        source,
        `it is not understood as a shell command (${error}): name the files that define it under protect`,
      );
    this.#moved ||= commands.some(
      ({ words }) => /^(cd|pushd)$/.test(words[0]?.value ?? '') || words.some(movesThere) || movesPackages(words),
    );
    for (const command of commands) {
      for (const { name, value } of command.assignments) this.#assignment(name, value, command.text);
      this.#start(command.words, { command, functions, operandsFromInput: false });
    }
    this.#depth--;
  }

  /** A program and its arguments. */
  #start([program, ...args]: readonly ShellWord[], place: Place): void {
    if (program === undefined) return;
    if (program.value === null) {
      this.#dynamic(program, 'program', place);
      return this.#arguments(args);
    }
    const name = program.value.split('/').at(-1) ?? '';
    const isFile = program.value.includes('/');
    if (isFile) this.#run(program, place);
    if (startsCode.has(name)) return this.#code(name, args, place);
    if (name === 'find') return this.#find(args, place);
    const known = programNamed(name);
    if (known !== undefined) return this.#apply(known, args, place);
    this.#arguments(args);
    if (place.functions.has(program.value) || (isFile && globOfFile(program.value, this.#moved) !== null)) return;
    this.#report(
      place.command.text,
      `which files define what ${shortened(program.text, wordCharactersMax)} does is not known: ${remedy}`,
    );
  }

  #apply(program: Program, args: readonly ShellWord[], place: Place): void {
    for (const file of program.files ?? []) this.files.add(file);
    let own = program.operands ?? 0;
    let { runs } = program;
    let shellText = false;
    let hasCode = false;
    for (let index = 0; index < args.length; index++) {
      const word = args[index] as ShellWord;
      const option = word.text === '--' ? null : optionOf(program, word);
      if (option !== null) {
        if (runs === 'shell' && /^-[a-z]*c[a-z]*$/.test(word.value ?? '')) {
          shellText = true;
          continue;
        }
        if (option.kind === 'tests') runs = undefined;
        if (option.kind === null) {
          if (option.value !== null) this.#arguments([option.value]);
          continue;
        }
        const value = option.kind === 'tests' ? undefined : (option.value ?? args[++index]);
        if (value !== undefined) this.#option(option.kind, value, place);
        hasCode ||= option.kind === 'code' || option.kind === 'module';
        // What follows a program text, or a module, are its arguments.
        if (hasCode) return this.#module(option.kind, value, args.slice(index + 1), place);
        continue;
      }
      if (word.text === '--') continue;
      const sub = word.value === null ? undefined : program.subcommands?.[word.value];
      if (sub !== undefined) return this.#apply(sub, args.slice(index + 1), place);
      const assigned = runs === 'command' ? /^([A-Za-z_]\w*)=/.exec(word.value ?? '') : null;
      if (assigned !== null) {
        this.#assignment(assigned[1] ?? '', wordAfter(word, assigned[0].length), place.command.text);
        continue;
      }
      if (runs === 'command') {
        if (own-- > 0) continue;
        const operandsFromInput = place.operandsFromInput || program.operandsFromInput === true;
        return this.#start(args.slice(index), { ...place, operandsFromInput });
      }
      if (runs === 'nothing') continue;
      if (runs === undefined) {
        this.#arguments([word]);
        continue;
      }
      if (shellText) this.#text(word, place);
      else if (word.value === '-') this.#input(runs, place);
      else this.#run(word, place, program.resolves);
      return this.#scriptArguments(word, args.slice(index + 1), place);
    }
    if (runs === 'shell' || runs === 'script') this.#input(runs, place);
    else if (runs === undefined) for (const input of place.command.inputs) this.#arguments([input]);
  }

  #option(kind: OptionKind, value: ShellWord, place: Place): void {
    if (kind === 'file') this.#run(value, place);
    else if (kind === 'command') this.#text(value, place);
    else if (kind === 'plugin' && value.value === null) this.#dynamic(value, 'plugin', place);
    else if (kind === 'plugin') this.#moduleFiles(value.value ?? '');
    else if (kind === 'code')
      this.#report(place.command.text, 'files that its inline code loads are not known: name them under protect');
  }

  /** A module is a program of that name, which a file of the tree may stand in for. */
  #module(kind: OptionKind, value: ShellWord | undefined, args: readonly ShellWord[], place: Place): void {
    if (kind !== 'module' || value === undefined) return this.#arguments(args);
    if (value.value === null) return this.#dynamic(value, 'module', place);
    this.#moduleFiles(value.value);
    const known = programNamed(value.value);
    if (known !== undefined) this.#apply(known, args, place);
    else this.#arguments(args);
  }

  #moduleFiles(name: string): void {
    const folder = name.replaceAll('.', '/');
    const [first = ''] = folder.split('/');
    for (const file of [
      `${folder}.py`,
      `${folder}/__main__.py`,
      `${folder}/__init__.py`,
      `${first}.py`,
      `${first}/__init__.py`,
    ])
      this.files.add(file.includes('/') ? `**/${file}` : file);
  }

  /** A script may be a program that is known: `php vendor/bin/phpunit`. */
  #scriptArguments(script: ShellWord, args: readonly ShellWord[], place: Place): void {
    const known = programNamed(script.value?.split('/').at(-1) ?? '');
    if (known === undefined || known.runs === 'nothing') this.#arguments(args);
    else this.#apply(known, args, place);
  }

  /** A file that is run, or loaded by what is: it counts whatever it is called. */
  #run(word: ShellWord, place: Place, resolves: readonly string[] = []): void {
    if (word.value === null) return this.#dynamic(word, 'file', place);
    if (/^\.?\/?$/.test(word.value))
      return this.#report(place.command.text, `which files of the folder it runs is not known: ${remedy}`);
    const glob = globOfFile(word.glob ?? '', this.#moved);
    if (glob === null) return;
    this.files.add(glob);
    if (/\.\w+$/.test(word.value)) return;
    for (const form of resolves) this.files.add(form.replace('{}', glob));
  }

  /** Arguments that are files count unless they are test sources. */
  #arguments(args: readonly ShellWord[]): void {
    for (const arg of args) {
      const start = /^[\w-]+=/.exec(arg.value ?? '');
      const word = start === null ? arg : wordAfter(arg, start[0].length);
      if (!looksLikeFile(word) || isTestSource(word.value ?? '')) continue;
      const glob = globOfFile(word.glob ?? '', this.#moved);
      if (glob !== null) this.files.add(glob);
    }
  }

  /** What an interpreter reads when no script is named. */
  #input(runs: 'shell' | 'script', place: Place): void {
    const { command } = place;
    for (const source of command.pipedFrom ?? [])
      for (const word of [...source.words.slice(1), ...source.inputs]) if (looksLikeFile(word)) this.#run(word, place);
    if (place.operandsFromInput)
      return this.#report(command.text, `which files it runs is known only when the command runs: ${remedy}`);
    for (const input of command.inputs) this.#run(input, place);
    if (command.inputText !== null) {
      if (runs === 'shell') this.script(command.inputText);
      else this.#report(command.text, 'files that its inline code loads are not known: name them under protect');
    }
    if (command.pipedFrom !== null)
      this.#report(
        command.text,
        'it runs what it reads from a pipe: name the files that this comes from under protect',
      );
  }

  #text(word: ShellWord, place: Place): void {
    if (word.value === null) this.#dynamic(word, 'command', place);
    else this.script(word.value);
  }

  /** `eval`, `trap` and `alias`, whose arguments are shell text. */
  #code(name: string, args: readonly ShellWord[], place: Place): void {
    const texts = args.filter(({ value }) => value === null || !value.startsWith('-'));
    if (name === 'eval' && texts.length > 0 && texts.every(({ value }) => value !== null))
      return this.script(texts.map(({ value }) => value).join(' '));
    for (const text of name === 'trap' ? texts.slice(0, 1) : texts) {
      const start = name === 'alias' ? (/^[^=]+=/.exec(text.value ?? '')?.[0].length ?? 0) : 0;
      if (text.value === null) return this.#dynamic(text, 'command', place);
      if (name !== 'alias' || start > 0) this.script(text.value.slice(start));
    }
  }

  #find(args: readonly ShellWord[], place: Place): void {
    for (let index = 0; index < args.length; index++) {
      if (!/^-(exec|ok)(dir)?$/.test(args[index]?.value ?? '')) continue;
      const rest = args.slice(index + 1);
      const end = rest.findIndex(({ value }) => value === ';' || value === String.raw`\;` || value === '+');
      const words = (end < 0 ? rest : rest.slice(0, end)).filter(({ value }) => value !== '{}');
      this.#start(words, { ...place, operandsFromInput: true });
    }
  }

  #assignment(name: string, word: ShellWord, text: string): void {
    if (name === 'PATH') return this.#searchPath(word.text);
    if (modulePaths.has(name) && /(^|[:"'])(?!\/)[^:"']/.test(word.text))
      return this.#report(
        text,
        `a file in a folder of ${name} can take the place of a module that it loads: ${remedy}`,
      );
    if (!loaders.test(name) || word.value === null) return;
    for (const value of word.value.split(/[\s:=]+/)) {
      const part = wordAfter({ text: value, value, glob: null }, 0);
      const glob = looksLikeFile(part) ? globOfFile(part.glob ?? '', this.#moved) : null;
      if (glob !== null) this.files.add(glob);
    }
  }

  /** Folders of the tree in which programs are looked for: any file there may become one. */
  #searchPath(text: string): void {
    for (const entry of text.replaceAll(/["']/g, '').split(':')) {
      const folder = entry.replace(/^(\$PWD|\$\{PWD\}|\$\(pwd\)|`pwd`)\/?/, './');
      if (folder === '' || folder.includes('$') || folder.includes('`')) continue;
      if (/^\.?\/?$/.test(folder)) this.files.add('*');
      else {
        const glob = globOfFile(folder, this.#moved);
        if (glob !== null) this.files.add(`${glob}/**`);
      }
    }
  }

  #dynamic(word: ShellWord, what: string, place: Place): void {
    const glob = word.glob === null ? null : globOfFile(word.glob, true);
    if (glob !== null) this.files.add(glob);
    this.#report(
      place.command.text,
      `the ${what} ${shortened(word.text, wordCharactersMax)} is known only when the command runs: ${remedy}`,
    );
  }

  #report(text: string, why: string): void {
    const part = shortened(text, partCharactersMax);
    this.unprotected.set(`${part}\0${why}`, { part, why });
  }
}

/** Formats a text as one line of limited length. */
function shortened(text: string, charactersMax: number): string {
  const line = text
    .slice(0, 2 * charactersMax)
    .trim()
    .replaceAll(/\s+/g, ' ');
  return line.length > charactersMax ? `${line.slice(0, charactersMax - 1)}…` : line;
}

/** Options by which programs change the folder: `make -C app`, `npm --workspace app`. */
const movesThere = ({ value }: ShellWord): boolean =>
  value !== null &&
  /^(-C.*|--(directory|chdir|prefix|cwd|dir|project-dir|working-directory|workspaces?|filter|recursive)(=.*)?)$/.test(
    value,
  );

/** Short options of package managers that mean something else elsewhere. */
const movesPackages = (words: readonly ShellWord[]): boolean =>
  /^(npm|npx|pnpm|yarn|bun)$/.test(words[0]?.value ?? '') && words.some(({ value }) => /^-(w|r|F)/.test(value ?? ''));

type Option = { kind: OptionKind | null; value: ShellWord | null };

/** The kind of a word that is an option of the program, and the value that is part of it; null for an operand. */
function optionOf({ options = {} }: Program, word: ShellWord): Option | null {
  const text = word.value ?? word.text.replace(/^["']/, '');
  if (!/^[-+]./.test(text)) return null;
  const kindOf = (name: string): OptionKind | null => {
    for (const [kind, names] of Object.entries(options)) if (names.includes(name)) return kind as OptionKind;
    return null;
  };
  const whole = kindOf(text);
  if (whole !== null) return { kind: whole, value: null };
  const equals = text.indexOf('=');
  if (equals > 0) return { kind: kindOf(text.slice(0, equals)), value: wordAfter(word, equals + 1) };
  if (text.startsWith('--') || text.length === 2) return { kind: null, value: null };
  // `-Ilib` has its value behind its letter, and the last of `-ne` takes the next word.
  const first = kindOf(text.slice(0, 2));
  if (first !== null) return { kind: first, value: wordAfter(word, 2) };
  return { kind: kindOf(`-${text.at(-1)}`), value: null };
}
