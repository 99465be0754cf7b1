import { isTaskEnd } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';

/** The error where a task's commit is wanted and there is none: a task that is over will have none, either. */
export const withoutCommit = ({ name, state }: TaskView, hint = ''): CliError =>
  new CliError(exitCodes.badInput, `${name} is ${state} and has no commit${isTaskEnd(state) ? '' : ' yet'}${hint}`);
