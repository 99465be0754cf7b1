/** Loads the run of `coppice run --prompt`, which has one task in the current repository. */
import { readFields } from '@coppice/bus';
import { runFileSchema, slug } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { currentBranch, repositoryAt } from '../git.ts';
import { plainLine } from '../output/text.ts';
import { truncate } from '../output/width.ts';
import { completeRun } from './complete.ts';
import type { Complainer, LoadOptions, LoadedRun } from './complete.ts';

export type PromptOptions = {
  prompt: string;
  model?: string | undefined;
  /** False with `--no-verify`. The task then lands without verification. */
  verify?: string | false | undefined;
  merge?: string | undefined;
  name?: string | undefined;
  description?: string | undefined;
  base?: string | undefined;
  type?: string | undefined;
  time?: string | undefined;
  /** If set, one model call writes its answer to this file, and no agent works. */
  file?: string | undefined;
};

const nameCharactersMax = 40;
const descriptionCharactersMax = 72;

/** @throws CliError that names the option */
export async function loadPrompt(prompt: PromptOptions, folder: string, options: LoadOptions): Promise<LoadedRun> {
  const repository = await repositoryAt(folder);
  if (repository === null) {
    const hint = 'go into one, or describe the run in a file (coppice run FILE.yaml)';
    throw new CliError(exitCodes.badInput, `--prompt: ${folder} is not in a git repository: ${hint}`);
  }
  const baseBranch = prompt.base ?? (await currentBranch(repository));
  if (baseBranch === null) {
    throw new CliError(
      exitCodes.badInput,
      `--base: no branch is checked out in ${repository}: name the one to work on`,
    );
  }
  requireModelAndVerify(prompt);
  const value = { repository, baseBranch, tasks: [taskOf(prompt)] };
  const parsed = readFields(runFileSchema, value);
  if (!parsed.success) throw source.complain(parsed.issues);
  return completeRun(parsed.data, folder, source, options);
}

function requireModelAndVerify({ model, verify }: PromptOptions): void {
  const missing = [
    ...(model === undefined ? ['--model: say which, as provider/model (coppice doctor lists what is there)'] : []),
    ...(verify === undefined ? ['--verify: name the command that verifies the task, or use --no-verify'] : []),
  ];
  if (missing.length > 0) throw new CliError(exitCodes.badInput, missing.join('\n'));
}

function taskOf(options: PromptOptions) {
  const { prompt, model, verify, merge, type, time, file } = options;
  const description = options.description ?? descriptionOf(prompt);
  return {
    name: options.name ?? slug(description, nameCharactersMax),
    description,
    prompt,
    model,
    verify,
    agent: file === undefined ? { kind: 'loop' } : { kind: 'prompt', file },
    ...(merge === undefined ? {} : { merge }),
    ...(type === undefined ? {} : { commit: { type } }),
    ...(time === undefined ? {} : { limits: { time } }),
  };
}

/** Returns the prompt's first line, truncated to the length of a commit's subject. */
export function descriptionOf(prompt: string): string {
  const first = prompt.split('\n').find((line) => plainLine(line) !== '') ?? '';
  const line = plainLine(first)
    .replace(/^[#>*\s-]+/, '')
    .replace(/[.:\s]+$/, '');
  if (line.length <= descriptionCharactersMax) return line;
  const space = line.slice(0, descriptionCharactersMax - 1).lastIndexOf(' ');
  return space > descriptionCharactersMax / 2
    ? `${line.slice(0, space).trimEnd()} …`
    : truncate(line, descriptionCharactersMax);
}

/** Options for error messages, by field. */
const optionNames: Record<string, string> = {
  baseBranch: '--base',
  'tasks[0].name': '--name',
  'tasks[0].description': '--description',
  'tasks[0].prompt': '--prompt',
  'tasks[0].model': '--model',
  'tasks[0].verify': '--verify',
  'tasks[0].merge': '--merge',
  'tasks[0].commit.type': '--type',
  'tasks[0].limits.time': '--time',
  'tasks[0].agent.file': '--write',
};

const source: Complainer = {
  complain: (issues: readonly FieldIssue[]) => {
    const lines = issues.map(({ field, expected, received }) =>
      plainLine(`${optionNames[field] ?? field}: expected ${expected}, received ${received}`),
    );
    return new CliError(exitCodes.badInput, lines.join('\n'));
  },
};
