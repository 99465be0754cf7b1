/** The files that decide what a program does. */
export type Program = {
  /** Globs of files that decide what it does without being named in its arguments. One without a slash means a name in every folder. */
  files?: readonly string[];
  /** More globs, which apply if the operands, joined by spaces, match. */
  filesFor?: { operands: RegExp; files: readonly string[] };
  /**
   * The meaning of its first operand: a script that it interprets, the program of a command that it starts, or a shell's script. Undefined: a tool whose
   * operands count if they are files. `nothing`: it runs nothing, and its operands don't count, since the task may have to create them. `text`: all operands
   * together are a shell's command; `texts`: each operand is one; `copies`: it runs nothing, but a copy of an operand may be run.
   */
  runs?: 'script' | 'command' | 'shell' | 'nothing' | 'text' | 'texts' | 'copies';
  /** Number of its own operands before those of `runs`, such as the duration of `timeout`. */
  operands?: number;
  /** Other files that a script's name without an extension may mean, with `{}` for the name. */
  resolves?: readonly string[];
  options?: Partial<Record<OptionKind, readonly string[]>>;
  /** True if it takes further operands from its standard input, as `xargs` does. */
  operandsFromInput?: true;
  /** Definitions that replace this one, by the first operand. */
  subcommands?: Readonly<Record<string, Program>>;
  /** Definitions that replace this one, by an option of kind `program`. */
  optionPrograms?: Readonly<Record<string, Program>>;
  /**
   * Matches operands, joined by spaces, with which it runs a program that no known file defines; the use is then reported. `cargo run` builds one from the
   * tree.
   */
  reports?: RegExp;
  /** The file whose commands it runs, for a message, if the operands, joined by spaces, match. They aren't analyzed, since the tree isn't read here. */
  commandList?: { operands: RegExp; file: string };
  /** True if an operand may name a program that it starts, or a script that its files define: `yarn vitest`, `yarn lint`. */
  mayStart?: true;
  /** True if the use is reported when no command follows: a container image then starts its own program. */
  needsCommand?: true;
};

/**
 * The meaning of an option's value: `value`, not analyzed; `flag`, none; `file`, a file that it loads; `load`, the same if it looks like a file, else a package; `code`, a program text in its language; `module`, a
 * module's name; `plugin`, a module that it loads beside; `command`, a shell's command; `tests`, none, and the operands are tests; `setting`, `name=file`;
 * `folder`, one in which it looks for modules; `placeholder`, the string that input replaces in its command; `unknown`, it runs a program whose
 * files aren't known; `program`, none: see `optionPrograms`.
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
