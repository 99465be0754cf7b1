import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { CoppiceError, runLimits } from '@coppice/contracts';
import type { FieldIssue, RunFile, RunRequest } from '@coppice/contracts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainLine } from '../output/text.ts';
import { resolveModel, resolveRepository } from './addresses.ts';

/**
 * The source of a run, which is a file or options. `complain` makes an error with the places of the fields in the
 * source.
 */
export type Complainer = { complain: (issues: readonly FieldIssue[]) => CliError };

export type LoadedRun = {
  request: RunRequest;
  /**
   * Adds to the orchestrator's error for a rejected run where the field is in the source. Returns any other error
   * unchanged.
   */
  explain: (error: unknown) => unknown;
};

export type LoadOptions = {
  requestId?: string | undefined;
  /** True if the repository may be on another machine. */
  elsewhere: boolean;
};

/** Makes a request from a run. Relative addresses become absolute. @throws CliError that names the field */
export async function completeRun(
  run: RunFile,
  baseFolder: string,
  source: Complainer,
  options: LoadOptions,
): Promise<LoadedRun> {
  const repository = await resolveRepository(run.repository, baseFolder, options);
  if (repository === null) {
    const received = path.resolve(baseFolder, run.repository);
    throw source.complain([{ field: 'repository', expected: 'a folder that is there, or a URL', received }]);
  }
  const withModel = <Part extends { model?: string | undefined }>(part: Part): Part =>
    part.model === undefined ? part : { ...part, model: resolveModel(part.model, baseFolder) };
  const request = {
    ...run,
    requestId: options.requestId ?? randomUUID(),
    repository,
    defaults: withModel(run.defaults),
    tasks: run.tasks.map(withModel),
  };
  const bytes = Buffer.byteLength(JSON.stringify(request));
  if (bytes > runLimits.requestBytesMax) {
    const expected = `at most ${runLimits.requestBytesMax} bytes of tasks`;
    throw source.complain([{ field: 'tasks', expected, received: `${bytes}` }]);
  }
  return { request, explain: (error) => explain(error, source, options) };
}

function explain(error: unknown, source: Complainer, { elsewhere }: LoadOptions): unknown {
  if (!(error instanceof CoppiceError)) return error;
  const issues = error.details?.['issues'];
  if (Array.isArray(issues) && issues.length > 0 && issues.every(isFieldIssue)) {
    // The request id comes from an option and has no field in the source.
    const ofId = issues.find(({ field }) => field === 'requestId');
    if (ofId !== undefined) return complainOfId(ofId, error);
    return source.complain(elsewhere && error.code === 'repository-not-found' ? issues.map(lookedForThere) : issues);
  }
  const field = { 'repository-not-found': 'repository', 'branch-not-found': 'baseBranch' }[error.code as string];
  if (field === undefined) return error;
  const place = source.complain([{ field, expected: '', received: '' }]).message.split(': ')[0];
  return new CliError(exitCodes.badInput, `${place}: ${field}: ${error.message}`, { cause: error });
}

/** Adds to the issue that the stack's machine must have the repository. The folder may exist only on this machine. */
const lookedForThere = (issue: FieldIssue): FieldIssue =>
  issue.field === 'repository' && path.isAbsolute(pathIn(issue.received))
    ? {
        ...issue,
        expected: `${issue.expected} on the machine of the stack that NATS_URL names (with docker-compose, one in the folder that COPPICE_REPOSITORIES mounts, owned by the user COPPICE_UID)`,
      }
    : issue;

/** Removes the quote at the beginning, since `received` is JSON. */
const pathIn = (received: string): string => received.replace(/^"/, '');

function complainOfId({ expected, received }: FieldIssue, cause: CoppiceError): CliError {
  const runId = cause.details?.['runId'];
  const known = typeof runId === 'string' ? `, the id of ${runId}` : '';
  const text = plainLine(`--request-id: expected ${expected}, received ${received}${known}`);
  return new CliError(exitCodes.badInput, text, { cause });
}

const isFieldIssue = (issue: unknown): issue is FieldIssue =>
  typeof issue === 'object' &&
  issue !== null &&
  'field' in issue &&
  typeof issue.field === 'string' &&
  'expected' in issue;
