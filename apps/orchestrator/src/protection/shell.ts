import { forEachChild, parse } from 'unbash';
import type { Command, HereDoc, HereString, Redirect, SyntaxNode, Word, WordPart } from 'unbash';

export type ShellWord = {
  /** The word as written. */
  text: string;
  /** The word without quotes. Null if it is only known when the command runs. */
  value: string | null;
  /**
   * The value as a glob. Only characters that the shell expands are special in it. If the word begins with a variable,
   * the glob matches the rest of the word.
   */
  glob: string | null;
  /** The word, in which a variable replaces what `xargs` or `find` inserts. Absent if they insert nothing. */
  template?: string;
};

/**
 * A program with its arguments. It may be anywhere in the text, such as in a pipeline, branch, loop, function or
 * substitution.
 */
export type ShellCommand = {
  text: string;
  words: ShellWord[];
  assignments: { name: string; value: ShellWord }[];
  /** Files that are redirected to standard input. */
  inputs: ShellWord[];
  /** Text of a here-document or here-string on standard input. */
  inputText: string | null;
  /** Commands whose output this command reads. Null if it doesn't read from a pipe. */
  pipedFrom: ShellCommand[] | null;
};

export type ShellScript = { commands: ShellCommand[]; functions: Set<string>; errors: string[] };

/**
 * Parses a script of bash or POSIX sh. Parts that can't be parsed are listed in `errors`, and the other commands are
 * still returned.
 * @param commandsMax maximum number of commands that are analyzed
 */
export function parseShell(source: string, commandsMax: number): ShellScript {
  const script: ShellScript = { commands: [], functions: new Set(), errors: [] };
  new Walk(source, script, commandsMax).visit(parse(source), null);
  return script;
}

/**
 * Maximum number of levels of the syntax tree that are analyzed. A nested substitution takes five levels. The parser
 * accepts far deeper trees, but is slow on them.
 */
const depthMax = 100;
/** Maximum number of commands of a pipeline that are recorded as the input of a later command. */
const pipedFromMax = 16;

type Input = Redirect | HereDoc | HereString;

class Walk {
  readonly #source: string;
  readonly #script: ShellScript;
  readonly #commandsMax: number;
  #depth: number;

  constructor(source: string, script: ShellScript, commandsMax: number, depth = 0) {
    this.#source = source;
    this.#script = script;
    this.#commandsMax = commandsMax;
    this.#depth = depth;
  }

  visit(node: SyntaxNode, pipedFrom: ShellCommand[] | null): void {
    if (this.#depth >= depthMax) {
      this.#script.errors.push('it is nested too deeply');
      return;
    }
    if (this.#script.commands.length >= this.#commandsMax) {
      if (this.#script.errors.length === 0) this.#script.errors.push('it has too many commands');
      return;
    }
    this.#depth++;
    this.#visit(node, pipedFrom);
    this.#depth--;
  }

  #visit(node: SyntaxNode, pipedFrom: ShellCommand[] | null): void {
    const below = (child: SyntaxNode) => this.visit(child, pipedFrom);
    switch (node.type) {
      case 'Script':
        this.#script.errors.push(...(node.errors ?? []).map(({ message }) => message));
        // The positions of a script in escaped backquotes refer to its own source.
        if (node.source === undefined) return forEachChild(node, below);
        return forEachChild(node, (child) =>
          new Walk(node.source ?? '', this.#script, this.#commandsMax, this.#depth).visit(child, null),
        );
      case 'Pipeline':
        return this.#pipeline(node.commands, pipedFrom);
      case 'Function':
        this.#script.functions.add(node.name.value);
        return this.visit(node.body, null);
      case 'Command':
        this.#script.commands.push(this.#command(node, pipedFrom));
        break;
      case 'Redirected':
        return this.#redirected(node.command, node.redirects, pipedFrom);
      // No default
    }
    forEachChild(node, below);
  }

  #pipeline(stages: readonly SyntaxNode[], pipedFrom: ShellCommand[] | null): void {
    const { commands } = this.#script;
    const first = commands.length;
    for (const [index, stage] of stages.entries())
      this.visit(stage, index === 0 ? pipedFrom : commands.slice(Math.max(first, commands.length - pipedFromMax)));
  }

  /** Visits a group of commands that share their input. Any of them may read it. */
  #redirected(body: SyntaxNode, redirects: readonly Input[], pipedFrom: ShellCommand[] | null): void {
    const { inputs, inputText } = this.#inputOf(redirects);
    const reader = { text: '', words: [], assignments: [], inputs, inputText, pipedFrom: null };
    for (const redirect of redirects) this.visit(redirect, pipedFrom);
    if (inputs.length === 0 && inputText === null) return this.visit(body, pipedFrom);
    this.#script.commands.push(reader);
    this.visit(body, [reader]);
  }

  #command(node: Command, pipedFrom: ShellCommand[] | null): ShellCommand {
    const command: ShellCommand = {
      text: this.#source.slice(node.pos, node.end),
      words: node.name === undefined ? [] : [this.#word(node.name)],
      assignments: [],
      pipedFrom,
      ...this.#inputOf(node.redirects),
    };
    for (const each of [...node.prefix, ...node.args]) {
      if (each.type === 'Word') command.words.push(this.#word(each));
      else if (each.type === 'Assignment' && each.value.type === 'Word')
        command.assignments.push({ name: each.name, value: this.#word(each.value) });
    }
    return command;
  }

  #inputOf(redirects: readonly Input[]): Pick<ShellCommand, 'inputs' | 'inputText'> {
    const inputs: ShellWord[] = [];
    let inputText: string | null = null;
    for (const redirect of redirects) {
      if (redirect.type === 'HereDoc') inputText = redirect.body.text;
      else if (redirect.type === 'HereString') inputText = redirect.target?.value ?? '';
      else if (redirect.target !== undefined && (redirect.operator === '<' || redirect.operator === '<>'))
        inputs.push(this.#word(redirect.target));
    }
    return { inputs, inputText };
  }

  #word(word: Word): ShellWord {
    const parts = word.parts ?? [];
    if (parts.length === 0) return { text: word.text, value: word.value, glob: globOfText(word.value) };
    const values = parts.map(valueOf);
    const globs = parts.map(globOf);
    const known = values.every((value) => value !== null);
    // A quoted word such as `"$ROOT/check.js"` is one part that contains the variable and the rest.
    const inner = parts.length === 1 && parts[0]?.type === 'DoubleQuoted' ? parts[0].parts.map(globOf) : globs;
    const rest = inner[0] === null && inner.slice(1).every((glob) => glob !== null) ? inner.slice(1).join('') : '';
    return {
      text: word.text,
      value: known ? values.join('') : null,
      glob: known ? globs.join('') : rest.startsWith('/') ? `**${rest}` : null,
    };
  }
}

const globCharacters = /[\\*?[\]{}()!+@|,]/g;
/** Returns a glob that matches exactly this text. */
export const globOfText = (text: string): string => text.replaceAll(globCharacters, String.raw`\$&`);

/** Detects an expression for the current folder. A command starts in the root of the work tree. */
const isWorkingFolder = (part: WordPart): boolean =>
  (part.type === 'SimpleExpansion' && part.text === '$PWD') ||
  (part.type === 'ParameterExpansion' && part.text === '${PWD}') ||
  (part.type === 'CommandExpansion' && /^(\$\(|`)\s*pwd\s*[)`]$/.test(part.text));

function valueOf(part: WordPart): string | null {
  switch (part.type) {
    case 'Literal':
    case 'SingleQuoted':
    case 'AnsiCQuoted':
      return part.value;
    case 'Glob':
    case 'ExtendedGlob':
    case 'BraceExpansion':
      return part.text;
    case 'DoubleQuoted':
    case 'LocaleString':
      return joined(part.parts.map(valueOf));
    default:
      return isWorkingFolder(part) ? '.' : null;
  }
}

function globOf(part: WordPart): string | null {
  switch (part.type) {
    case 'Glob':
    case 'ExtendedGlob':
    case 'BraceExpansion':
      return part.text;
    case 'DoubleQuoted':
    case 'LocaleString':
      return joined(part.parts.map(globOf));
    default: {
      const value = valueOf(part);
      return value === null ? null : globOfText(value);
    }
  }
}

const joined = (pieces: readonly (string | null)[]): string | null =>
  pieces.every((piece) => piece !== null) ? pieces.join('') : null;
