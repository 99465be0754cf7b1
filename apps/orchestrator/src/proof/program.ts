/** What is known of a program: which files decide what it does. */
export type Program = {
  /** Globs of files that decide what it does without being named in its arguments. One without a slash means a name in every folder. */
  files?: readonly string[];
  /**
   * What its first operand is: a script that it interprets, the program of a command that it starts, a shell's script. Left out: a tool, whose
   * operands are its own affair. `nothing`: it runs nothing, and what it looks at may be what the task is to make.
   */
  runs?: 'script' | 'command' | 'shell' | 'nothing';
  /** Operands of its own before those of `runs`: the duration of `timeout`. */
  operands?: number;
  /** Of a script's name without an extension: other files that it may mean, `{}` for the name. */
  resolves?: readonly string[];
  options?: Partial<Record<OptionKind, readonly string[]>>;
  /** Adds operands from its standard input, as `xargs` does. */
  operandsFromInput?: true;
  /** What it does instead, by its first operand. */
  subcommands?: Readonly<Record<string, Program>>;
};

/**
 * What the value of an option is: `value`, nothing of interest; `file`, a file that it loads; `code`, a program text in its language; `module`, a
 * module's name; `plugin`, a module that it loads beside; `command`, a shell's command; `tests`, none, and the operands are tests.
 */
export type OptionKind = 'value' | 'file' | 'code' | 'module' | 'plugin' | 'command' | 'tests';

/** Programs by name, of one ecosystem. */
export type Ecosystem = Readonly<Record<string, Program>>;

/** The same program under several names. */
export const named = (names: string, program: Program): Ecosystem =>
  Object.fromEntries(names.split(/\s+/).map((name) => [name, program]));
