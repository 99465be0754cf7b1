/**
 * Finds the files that define what a shell command does. These are the files that it runs, and the configuration of the
 * programs that it starts.
 *
 * Invariants:
 * 1. Every program in the command counts, even if only some branches of the command run it.
 * 2. A program, script or text that is only known when the command runs is reported, never skipped.
 * 3. Files that a found file starts or loads aren't found, since the analysis doesn't read the tree. `unfollowed` lists
 *    the scripts that may start or load files.
 */
import type { UnprotectedPart } from '@coppice/contracts';
import { budgetOfCommand, Spending } from './budget.ts';
import type { Budget } from './budget.ts';
import { mayBeValue, mayHaveValue, movesPackages, movesThere, operandsOf, optionOf } from './options.ts';
import {
  globOfFile,
  isBuilt,
  isScriptOrArchive,
  isTestSource,
  looksLikeFile,
  modulesNamed,
  wordAfter,
} from './paths.ts';
import { commandsOfParallel, insertsInput } from './placeholders.ts';
import type { OptionKind, Program } from './program.ts';
import { programNamed } from './programs.ts';
import * as reasons from './reasons.ts';
import { parseShell } from './shell.ts';
import type { ShellCommand, ShellWord } from './shell.ts';
import { Unprotected } from './unprotected.ts';
import { loaders, modulePaths, searchPathGlobs } from './variables.ts';

export type Definition = { files: string[]; unprotected: UnprotectedPart[]; unfollowed: UnprotectedPart[] };

/** Maximum depth of nested shells, such as `sh -c "sh -c …"`. */
const depthMax = 8;
/** Maximum number of shell texts that are analyzed for one command, including its own. */
const scriptsMax = 100;
/** Maximum number of unknown options whose next word is analyzed both as a value and as an operand. */
const alternativesMax = 20;

const startsCode = new Set(['eval', 'trap', 'alias']);

/**
 * @param command in bash or POSIX sh
 * @param shared budgets that this command shares with other commands
 */
export function definitionOf(command: string, ...shared: Budget[]): Definition {
  const definition = new DefinitionFinder([budgetOfCommand(), ...shared]);
  definition.script(command);
  const { files, unprotected, unfollowed } = definition;
  return { files: [...files], unprotected: unprotected.list(), unfollowed: unfollowed.list() };
}

type Place = { command: ShellCommand; functions: ReadonlySet<string>; operandsFromInput: boolean };

/** The meaning of an operand after the options before it. */
type OperandContext = {
  runs: Program['runs'];
  /** True if the operand is the text of a script, as after `sh -c`. */
  shellText: boolean;
  /** The word that `xargs` replaces with its input. */
  placeholder: string | null;
  /** The word after an unknown option, which may be the option's value. */
  maybeValue: ShellWord | undefined;
};

/** Operand of `concurrently` that names a package script. */
const namesScript = /^(npm|pnpm|yarn|bun|node|deno):/;
/** A scoped package such as an argument of `npx`, optionally with a version. It isn't a file of the tree. */
const scopedPackage = /^(@[\w.~-]+\/[\w.~-]+)(@.*)?$/;
/** Jest's placeholder for its root folder. */
const jestRoot = '<rootDir>/';

class DefinitionFinder {
  readonly files = new Set<string>();
  readonly unprotected = new Unprotected();
  readonly unfollowed = new Unprotected();
  /** True if some command changes the folder. The analysis doesn't determine which commands run after the change. */
  #moved = false;
  /** Files that a command writes with `-o`, such as a compiler's output. */
  readonly #outputs = new Set<string>();
  readonly #spending: Spending;
  #depth = 0;
  #scripts = 0;
  #alternatives = 0;

  constructor(budgets: readonly Budget[]) {
    this.#spending = new Spending(budgets);
  }

  script(source: string): void {
    if (this.#depth >= depthMax || this.#scripts >= scriptsMax) return this.unprotected.add(source, reasons.tooDeep);
    if (!this.#spending.take({ characters: source.length, commands: 1 }))
      return this.unprotected.add(source, reasons.tooMuch);
    this.#scripts++;
    this.#depth++;
    const { commands, functions, errors } = parseShell(source, this.#spending.commandsLeft + 1);
    this.#spending.take({ commands: Math.max(0, commands.length - 1) });
    const [error] = errors;
    if (error !== undefined) this.unprotected.add(source, reasons.notUnderstood(error));
    this.#moved ||= commands.some(
      ({ words }) => /^(cd|pushd)$/.test(words[0]?.value ?? '') || words.some(movesThere) || movesPackages(words),
    );
    for (const { words } of commands)
      for (const [index, { value }] of words.entries())
        if (value === '-o') this.#outputs.add(globOfFile(words[index + 1]?.glob ?? '', this.#moved) ?? '');
    for (const command of commands) {
      for (const { name, value } of command.assignments) this.#assignment(name, value, command.text);
      this.#start(command.words, { command, functions, operandsFromInput: false });
    }
    this.#depth--;
  }

  #start([program, ...args]: readonly ShellWord[], place: Place): void {
    if (program === undefined) return;
    if (program.value === null) {
      this.#dynamic(program, 'program', place);
      return this.#arguments(args);
    }
    const packageName = scopedPackage.exec(program.value)?.[1];
    const name = packageName ?? program.value.split('/').at(-1) ?? '';
    const isFile = program.value.includes('/');
    if (isFile) this.#script(program, place);
    if (startsCode.has(name)) return this.#code(name, args, place);
    if (name === 'find') return this.#find(args, place);
    const known = programNamed(name);
    if (known !== undefined) return this.#apply(known, args, place);
    this.#arguments(args);
    if (place.functions.has(program.value)) return;
    if (isFile && packageName === undefined && globOfFile(program.value, this.#moved) !== null) return;
    this.unprotected.add(place.command.text, reasons.unknownNamed(program));
  }

  #addAll(globs: readonly string[]): void {
    for (const glob of globs) this.files.add(glob);
  }

  /** Takes words from the budget. Reports the command if the budget is too small. */
  #takeWords(count: number, { command }: Place): boolean {
    const taken = this.#spending.take({ words: count });
    if (!taken) this.unprotected.add(command.text, reasons.tooMuch);
    return taken;
  }

  #apply(program: Program, args: readonly ShellWord[], place: Place): void {
    if (!this.#takeWords(args.length, place)) return;
    const readsOperands = program.reports ?? program.filesFor ?? program.commandList;
    const operands = readsOperands === undefined ? '' : operandsOf(args);
    this.#addAll(program.files ?? []);
    if (program.filesFor?.operands.test(operands) === true) this.#addAll(program.filesFor.files);
    let own = program.operands ?? 0;
    let maybeValue: ShellWord | undefined;
    let { runs } = program;
    let shellText = false;
    let hasCode = false;
    let placeholder: string | null = null;
    if (program.reports?.test(operands) === true) this.unprotected.add(place.command.text, reasons.programUnknown);
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
          else if (mayHaveValue(word)) maybeValue = args[index + 1];
          continue;
        }
        if (option.kind === 'flag') continue;
        const other = program.optionPrograms?.[word.value ?? ''];
        if (option.kind === 'program' && other !== undefined) return this.#apply(other, args.slice(index + 1), place);
        const value = option.kind === 'tests' ? undefined : (option.value ?? args[++index]);
        if (option.kind === 'placeholder') placeholder = value?.value ?? null;
        if (value !== undefined) this.#option(option.kind, value, place, program.resolves);
        hasCode ||= option.kind === 'code' || option.kind === 'module';
        // The words after a program text or a module's name are its arguments.
        if (hasCode) return this.#module(option.kind, value, args.slice(index + 1), place);
        continue;
      }
      if (word.text === '--') continue;
      const sub = word.value === null ? undefined : program.subcommands?.[word.value];
      const started = program.mayStart === true ? programNamed(word.value?.replace(/^[\w.+-]+:/, '') ?? '') : undefined;
      if (sub === undefined && started !== undefined && started.runs !== 'nothing')
        return this.#apply(started, args.slice(index + 1), place);
      if (sub !== undefined) return this.#apply(sub, args.slice(index + 1), place);
      const assigned = runs === 'command' ? /^([A-Za-z_]\w*)=/.exec(word.value ?? '') : null;
      if (assigned !== null) {
        this.#assignment(assigned[1] ?? '', wordAfter(word, assigned[0].length), place.command.text);
        continue;
      }
      if (runs === 'command' && own-- > 0) continue;
      if (this.#operand(program, { runs, shellText, placeholder, maybeValue }, args.slice(index), place)) return;
    }
    this.#withoutOperand(program, runs, operands, place);
  }

  /** Analyzes the first word as an operand. Returns true if the words after it were analyzed too. */
  #operand(program: Program, context: OperandContext, [word, ...rest]: readonly ShellWord[], place: Place): boolean {
    if (word === undefined) return false;
    const { runs, shellText, placeholder, maybeValue } = context;
    if (runs === undefined) this.#arguments([word]);
    else if (runs === 'texts' && !namesScript.test(word.value ?? '')) this.#text(word, place);
    else if (runs === 'copies' && isScriptOrArchive(word.value ?? '')) this.#arguments([word]);
    if (runs === undefined || runs === 'texts' || runs === 'copies' || runs === 'nothing') return false;
    if (runs === 'text') {
      this.#texts([word, ...rest], program.operandsFromInput === true, place);
      return true;
    }
    if (word === maybeValue) this.#alternative(program, word, rest, place);
    if (runs === 'command') {
      const operandsFromInput = place.operandsFromInput || program.operandsFromInput === true;
      const words = operandsFromInput ? insertsInput([word, ...rest], placeholder) : [word, ...rest];
      this.#start(words, { ...place, operandsFromInput });
      return true;
    }
    if (shellText) this.#text(word, place);
    else if (word.value === '-') this.#input(runs, place);
    else this.#script(word, place, program.resolves);
    this.#scriptArguments(word, rest, place);
    return true;
  }

  /** Completes the analysis of a program whose operands contain no script and no command. */
  #withoutOperand(program: Program, runs: Program['runs'], operands: string, place: Place): void {
    const { commandList } = program;
    if (commandList?.operands.test(operands) === true) this.#unfollowed(commandList.file, place);
    if (runs === 'shell' || runs === 'script') this.#input(runs, place);
    else if (runs === 'text' && program.operandsFromInput === true) this.#input('shell', place);
    else if (runs === 'command' && (place.operandsFromInput || program.needsCommand === true))
      this.unprotected.add(place.command.text, reasons.noCommand);
    else if (runs === undefined) for (const input of place.command.inputs) this.#arguments([input]);
  }

  /** Analyzes the case that `word` is the value of the unknown option before it. The operands are then in `rest`. */
  #alternative(program: Program, word: ShellWord, rest: readonly ShellWord[], place: Place): void {
    if (!mayBeValue(program, word, rest)) return;
    if (this.#alternatives++ < alternativesMax) this.#apply(program, rest, place);
    else this.unprotected.add(place.command.text, reasons.programUnknown);
  }

  #option(kind: OptionKind, value: ShellWord, place: Place, resolves: readonly string[] | undefined): void {
    if (kind === 'file') this.#run(value, place, resolves);
    else if (kind === 'load') this.#load(value, place, resolves);
    else if (kind === 'setting') this.#arguments([value]);
    else if (kind === 'unknown') this.unprotected.add(place.command.text, reasons.programUnknown);
    else if (kind === 'folder' && !value.text.startsWith('/'))
      this.unprotected.add(place.command.text, reasons.replacesModules(value));
    else if (kind === 'command') this.#text(value, place);
    else if (kind === 'plugin' && value.value === null) this.#dynamic(value, 'plugin', place);
    else if (kind === 'plugin') this.#addAll(modulesNamed(value.value ?? ''));
    else if (kind === 'code') this.unprotected.add(place.command.text, reasons.inlineCode);
  }

  #load(value: ShellWord, place: Place, resolves: readonly string[] | undefined): void {
    const root = value.value?.startsWith(jestRoot) === true ? jestRoot.length : 0;
    const word = root === 0 ? value : wordAfter(value, root);
    if (word.value === null || looksLikeFile(word)) this.#run(word, place, resolves);
  }

  /** Analyzes the arguments of `yarn exec`, `git submodule foreach` or `parallel`, which a shell gets as one text. */
  #texts(words: readonly ShellWord[], parallel: boolean, place: Place): void {
    if (parallel) {
      for (const text of commandsOfParallel(words)) {
        this.script(text);
        if (this.#spending.exhausted) break;
      }
    } else if (words.length === 1 && words[0] !== undefined) this.#text(words[0], place);
    else this.script(words.map(({ text }) => text).join(' '));
  }

  /** Analyzes a module as a program of the same name. A file of the tree may replace it. */
  #module(kind: OptionKind, value: ShellWord | undefined, args: readonly ShellWord[], place: Place): void {
    if (kind !== 'module' || value === undefined) return this.#arguments(args);
    if (value.value === null) return this.#dynamic(value, 'module', place);
    this.#addAll(modulesNamed(value.value));
    const known = programNamed(value.value);
    if (known !== undefined) return this.#apply(known, args, place);
    this.#arguments(args);
    // A name with a dot is usually a module of a package in the tree. The module's files are protected.
    if (!value.value.includes('.')) this.unprotected.add(place.command.text, reasons.programUnknown);
  }

  /** Analyzes a script's arguments. The script may be a known program, as in `php vendor/bin/phpunit`. */
  #scriptArguments(script: ShellWord, args: readonly ShellWord[], place: Place): void {
    const known = programNamed(script.value?.split('/').at(-1) ?? '');
    if (known === undefined || known.runs === 'nothing') this.#arguments(args);
    else this.#apply(known, args, place);
  }

  /** Adds a program or script of the tree, and reports that files that it starts or loads aren't followed. */
  #script(word: ShellWord, place: Place, resolves: readonly string[] = []): void {
    if (word.value !== null && globOfFile(word.glob ?? '', this.#moved) !== null) this.#unfollowed(word.text, place);
    this.#run(word, place, resolves);
  }

  #unfollowed(what: string, { command }: Place): void {
    this.unfollowed.add(command.text, reasons.notFollowed(what));
  }

  #run(word: ShellWord, place: Place, resolves: readonly string[] = []): void {
    if (word.value === null) return this.#dynamic(word, 'file', place);
    if (/^\.?\/?$/.test(word.value)) return this.unprotected.add(place.command.text, reasons.runsFolder);
    if (/^(npm|jsr|https?):/.test(word.value)) return this.unprotected.add(place.command.text, reasons.programUnknown);
    const glob = globOfFile(word.glob ?? '', this.#moved);
    if (glob === null) return;
    this.files.add(glob);
    if (isBuilt(word.value) || this.#outputs.has(glob)) this.unprotected.add(place.command.text, reasons.built(word));
    if (/\.\w+$/.test(word.value)) return;
    for (const form of resolves) this.files.add(form.replace('{}', glob));
  }

  /** Adds arguments that are files, except test sources. */
  #arguments(args: readonly ShellWord[]): void {
    for (const arg of args) {
      const start = /^([\w-]+=|@(?=[\w/-]+\.\w+$))/.exec(arg.value ?? '');
      const word = start === null ? arg : wordAfter(arg, start[0].length);
      if (!looksLikeFile(word) || isTestSource(word.value ?? '')) continue;
      const glob = globOfFile(word.glob ?? '', this.#moved);
      if (glob !== null) this.files.add(glob);
    }
  }

  /** Analyzes the standard input of an interpreter that has no script among its arguments. */
  #input(runs: 'shell' | 'script', place: Place): void {
    const { command } = place;
    for (const source of command.pipedFrom ?? [])
      for (const word of [...source.words.slice(1), ...source.inputs]) if (looksLikeFile(word)) this.#run(word, place);
    if (place.operandsFromInput) return this.unprotected.add(command.text, reasons.filesFromInput);
    for (const input of command.inputs) this.#run(input, place);
    if (command.inputText !== null) {
      if (runs === 'shell') this.script(command.inputText);
      else this.unprotected.add(command.text, reasons.inlineCode);
    }
    if (command.pipedFrom !== null) this.unprotected.add(command.text, reasons.readsPipe);
  }

  #text(word: ShellWord, place: Place): void {
    if (word.template !== undefined) this.script(word.template);
    else if (word.value === null) this.#dynamic(word, 'command', place);
    else this.script(word.value);
  }

  /** Analyzes the shell text in the arguments of `eval`, `trap` and `alias`. */
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
      if (!this.#takeWords(args.length - index, place)) return;
      const rest = args.slice(index + 1);
      const end = rest.findIndex(({ value }) => value === ';' || value === String.raw`\;` || value === '+');
      const moved = this.#moved;
      // `-execdir` runs its command in the folder of each found file.
      this.#moved ||= args[index]?.value?.endsWith('dir') === true;
      this.#start(insertsInput(end < 0 ? rest : rest.slice(0, end), null), { ...place, operandsFromInput: true });
      this.#moved = moved;
    }
  }

  #assignment(name: string, word: ShellWord, text: string): void {
    if (name === 'PATH') {
      for (const glob of searchPathGlobs(word.text, this.#moved)) this.files.add(glob);
      return;
    }
    if (modulePaths.has(name) && /(^|[:"'])(?!\/)[^:"']/.test(word.text))
      return this.unprotected.add(text, reasons.replacesModulesOf(name));
    if (!loaders.test(name) || word.value === null) return;
    for (const value of word.value.split(/[\s:=]+/)) {
      const part = wordAfter({ text: value, value, glob: null }, 0);
      const glob = looksLikeFile(part) ? globOfFile(part.glob ?? '', this.#moved) : null;
      if (glob !== null) this.files.add(glob);
    }
  }

  #dynamic(word: ShellWord, what: string, place: Place): void {
    const glob = word.glob === null ? null : globOfFile(word.glob, true);
    if (glob !== null) this.files.add(glob);
    this.unprotected.add(place.command.text, reasons.dynamic(what, word));
  }
}
