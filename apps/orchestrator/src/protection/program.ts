/** A program's description, with the files that decide what it does and the meaning of its arguments. */
export type Program = {
  /**
   * Globs of files that affect what the program does without being named in its arguments. A glob without a slash
   * matches that name in every folder.
   */
  files?: readonly string[];
  /** More globs, which apply if `operands` matches the program's operands, joined by spaces. */
  filesFor?: { operands: RegExp; files: readonly string[] };
  /**
   * The meaning of the program's first operand.
   * - `script`: a script that the program interprets
   * - `command`: the program of a command that the program starts
   * - `shell`: a shell script
   * - `nothing`: the program runs nothing. Files among its operands aren't protected, since the task may have to create
   *   them
   * - `text`: all operands together are one shell command
   * - `texts`: each operand is a shell command
   * - `copies`: the program runs nothing, but a copy of an operand may be run
   * - undefined: the program is a tool, and files among its operands are protected
   */
  runs?: 'script' | 'command' | 'shell' | 'nothing' | 'text' | 'texts' | 'copies';
  /** Number of operands before the one that `runs` describes, such as the duration of `timeout`. */
  operands?: number;
  /** Other files that a script's name without an extension may mean. `{}` stands for the name. */
  resolves?: readonly string[];
  options?: Partial<Record<OptionKind, readonly string[]>>;
  /** True if the program reads more operands from its standard input, as `xargs` does. */
  operandsFromInput?: true;
  /** Descriptions that replace this one, by the first operand. */
  subcommands?: Readonly<Record<string, Program>>;
  /** Descriptions that replace this one, by an option of kind `program`. */
  optionPrograms?: Readonly<Record<string, Program>>;
  /**
   * Matches the operands, joined by spaces, of a use that is reported. In such a use the program runs another program
   * that no known file defines. For example, `cargo run` runs a program that it builds from the tree.
   */
  reports?: RegExp;
  /**
   * If `operands` matches the operands, joined by spaces, the program runs the commands in a file. These commands
   * aren't analyzed, since the analysis doesn't read the tree. `file` is the file's name in messages.
   */
  commandList?: { operands: RegExp; file: string };
  /**
   * True if an operand may name a program that this program starts, as in `yarn vitest`, or a script of this program's
   * files, as in `yarn lint`.
   */
  mayStart?: true;
  /** True if a use without a command is reported. The container then runs the image's own program. */
  needsCommand?: true;
};

/**
 * The meaning of an option's value.
 * - `value`: not analyzed
 * - `flag`: the option has no value
 * - `file`: a file that the program loads
 * - `load`: a file that the program loads, if the value looks like a file, and otherwise a package
 * - `code`: the text of a program in the language that the program interprets
 * - `module`: a module's name
 * - `plugin`: a module that the program loads in addition
 * - `command`: a shell command
 * - `tests`: the option has no value, and the operands are tests
 * - `setting`: `name=file`
 * - `folder`: a folder in which the program looks for modules
 * - `placeholder`: the string in the program's command that the program replaces with its input
 * - `unknown`: the program runs another program, whose files aren't known
 * - `program`: the option has no value, and selects a description from `optionPrograms`
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

/** Programs of one ecosystem, by name. */
export type Ecosystem = Readonly<Record<string, Program>>;

export const words = (text: string): string[] => text.split(/\s+/);

/** Describes the same program under several names. */
export const named = (names: string, program: Program): Ecosystem =>
  Object.fromEntries(words(names).map((name) => [name, program]));
