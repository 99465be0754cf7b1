/** A description of a program: the files that decide what it does, and the meaning of its arguments. */
export type Program = {
  /** Globs of files that affect what the program does although its arguments don't name them. A glob without a slash matches that name in every folder. */
  files?: readonly string[];
  /** More globs, which apply if the operands, joined by spaces, match. */
  filesFor?: { operands: RegExp; files: readonly string[] };
  /**
   * The meaning of the program's first operand.
   * - `script`: a script that it interprets
   * - `command`: the program of a command that it starts
   * - `shell`: a shell's script
   * - `nothing`: it runs nothing, and files among its operands aren't protected, since the task may have to create them
   * - `text`: all operands together are a shell's command
   * - `texts`: each operand is a shell's command
   * - `copies`: it runs nothing, but a copy of an operand may be run
   * - undefined: it is a tool, and files among its operands are protected
   */
  runs?: 'script' | 'command' | 'shell' | 'nothing' | 'text' | 'texts' | 'copies';
  /** Number of the program's own operands before the one that `runs` describes, such as the duration of `timeout`. */
  operands?: number;
  /** Other files that a script's name without an extension may stand for, with `{}` for the name. */
  resolves?: readonly string[];
  options?: Partial<Record<OptionKind, readonly string[]>>;
  /** True if the program takes further operands from its standard input, as `xargs` does. */
  operandsFromInput?: true;
  /** Definitions that replace this one, by the first operand. */
  subcommands?: Readonly<Record<string, Program>>;
  /** Definitions that replace this one, by an option of kind `program`. */
  optionPrograms?: Readonly<Record<string, Program>>;
  /**
   * Matches operands, joined by spaces, with which the program runs another program that no known file defines. Such a use is reported. For example, `cargo
   * run` runs a program that it builds from the tree.
   */
  reports?: RegExp;
  /**
   * If `operands` matches the program's operands, joined by spaces, the program runs the commands in a file. `file` is the file's name in messages. These commands aren't analyzed,
   * since the analysis doesn't read the tree.
   */
  commandList?: { operands: RegExp; file: string };
  /** True if an operand may name a program that this program starts, or a script that this program's files define: `yarn vitest`, `yarn lint`. */
  mayStart?: true;
  /** True if a use without a command is reported, since the container then runs the image's own program. */
  needsCommand?: true;
};

/**
 * The meaning of an option's value.
 * - `value`: not analyzed
 * - `flag`: the option has no value
 * - `file`: a file that the program loads
 * - `load`: a file that the program loads, if the value looks like one, else a package
 * - `code`: a program text in the program's language
 * - `module`: a module's name
 * - `plugin`: a module that the program loads in addition
 * - `command`: a shell's command
 * - `tests`: the option has no value, and the operands are tests
 * - `setting`: `name=file`
 * - `folder`: a folder in which the program looks for modules
 * - `placeholder`: the string that input replaces in the program's command
 * - `unknown`: the program runs another one, whose files aren't known
 * - `program`: the option has no value: see `optionPrograms`
 */
export type OptionKind =
  | 'value'
  | 'flag'
  | 'file'
  | 'load'
  | 'code'
  | 'module'
  | 'plugin'
  | 'command'
  | 'tests'
  | 'setting'
  | 'folder'
  | 'placeholder'
  | 'unknown'
  | 'program';

/** Programs by name, of one ecosystem. */
export type Ecosystem = Readonly<Record<string, Program>>;

/** The words of a text. */
export const words = (text: string): string[] => text.split(/\s+/);

/** The same program under several names. */
export const named = (names: string, program: Program): Ecosystem =>
  Object.fromEntries(words(names).map((name) => [name, program]));
