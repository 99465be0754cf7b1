import { randomUUID } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { fieldIssues } from '@coppice/bus';
import { CoppiceError, runFileSchema, runLimits } from '@coppice/contracts';
import type { FieldIssue, RunFile, RunRequest } from '@coppice/contracts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveModel, resolveRepository } from './addresses.ts';
import { readSource } from './source.ts';
import type { Source } from './source.ts';

/** Comments and layout included. */
const fileBytesMax = 4 * runLimits.requestBytesMax;

export type LoadedRun = {
  request: RunRequest;
  /** Gives a refusal of the orchestrator its places in the file; anything else as it was. */
  explain: (error: unknown) => unknown;
};

export type LoadOptions = {
  requestId?: string | undefined;
  /** Whether repositories may lie on another machine. */
  elsewhere: boolean;
};

/** Reads, checks and completes a run file. @throws CliError that names file, line, column, field, what was expected and what came. */
export async function loadRunFile(file: string, options: LoadOptions): Promise<LoadedRun> {
  const source = readSource(await readText(file), file);
  const parsed = runFileSchema.safeParse(source.value);
  if (!parsed.success) throw source.complain(fieldIssues(parsed.error.issues, source.value));
  const request = await complete(parsed.data, file, source, options);
  const bytes = Buffer.byteLength(JSON.stringify(request));
  if (bytes > runLimits.requestBytesMax) {
    const expected = `at most ${runLimits.requestBytesMax} bytes of tasks`;
    throw source.complain([{ field: 'tasks', expected, received: `${bytes}` }]);
  }
  return { request, explain: (error) => explain(error, source) };
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size <= fileBytesMax) return await readFile(file, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new CliError(exitCodes.badInput, `${file}: ${reason}`, { cause });
  }
  throw new CliError(exitCodes.badInput, `${file}: a run file has at most ${fileBytesMax} bytes`);
}

async function complete(run: RunFile, file: string, source: Source, options: LoadOptions): Promise<RunRequest> {
  const baseFolder = path.dirname(await realpath(file));
  const repository = await resolveRepository(run.repository, baseFolder, options);
  if (repository === null) {
    const received = path.resolve(baseFolder, run.repository);
    throw source.complain([{ field: 'repository', expected: 'a folder that is there, or a URL', received }]);
  }
  const withModel = <Part extends { model?: string | undefined }>(part: Part): Part =>
    part.model === undefined ? part : { ...part, model: resolveModel(part.model, baseFolder) };
  return {
    ...run,
    requestId: options.requestId ?? randomUUID(),
    repository,
    defaults: withModel(run.defaults),
    tasks: run.tasks.map(withModel),
  };
}

function explain(error: unknown, source: Source): unknown {
  if (!(error instanceof CoppiceError)) return error;
  const issues = error.details?.['issues'];
  if (Array.isArray(issues) && issues.length > 0 && issues.every(isFieldIssue)) return source.complain(issues);
  const field = { 'repository-not-found': 'repository', 'branch-not-found': 'baseBranch' }[error.code as string];
  if (field === undefined) return error;
  const place = source.complain([{ field, expected: '', received: '' }]).message.split(': ')[0];
  return new CliError(exitCodes.badInput, `${place}: ${field}: ${error.message}`, { cause: error });
}

const isFieldIssue = (issue: unknown): issue is FieldIssue =>
  typeof issue === 'object' &&
  issue !== null &&
  'field' in issue &&
  typeof issue.field === 'string' &&
  'expected' in issue;
