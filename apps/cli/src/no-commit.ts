import { isTaskEnd } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { stateText } from './output/states.ts';

export const withoutCommit = ({ name, state }: TaskView, hint = ''): CliError =>
  new CliError(
    exitCodes.badInput,
    `${name} is ${stateText(state)} and has no commit${isTaskEnd(state) ? '' : ' yet'}${hint}`,
  );
