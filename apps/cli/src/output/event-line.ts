import { noRun } from '@coppice/contracts';
import type { CoppiceEvent } from '@coppice/contracts';
import { turnText } from '../progress.ts';
import { stateText } from './states.ts';
import { plainLine } from './text.ts';

/** Returns null for an event that isn't shown. */
export function eventLine(event: CoppiceEvent): string | null {
  const time = timeOfDay(new Date(event.time));
  switch (event.type) {
    case 'coppice.run-submitted': {
      const { runId, tasks, repository, baseBranch } = event.data;
      return plainLine(
        `${time} run ${runId}: ${tasks} ${tasks === 1 ? 'task' : 'tasks'} on ${baseBranch} of ${repository}`,
      );
    }
    case 'coppice.run-refused':
      return plainLine(`${time} run ${event.data.runId}: refused: ${event.data.failure.message}`);
    case 'coppice.intake-refused':
      return plainLine(`${time} request ${event.data.intakeSequence}: refused: ${event.data.failure.message}`);
    case 'coppice.run-ended':
      return `${time} run ${event.data.runId}: ${event.data.state}`;
    case 'coppice.task-state': {
      const { name, to, reason } = event.data;
      return plainLine(`${time} ${name}: ${stateText(to)}${reason === null ? '' : `: ${reason}`}`);
    }
    case 'coppice.task-turn': {
      return plainLine(`${time} ${event.data.name}: ${turnText(event.data)}`);
    }
    default: {
      const { name, landedCommit, finishCommand } = event.data;
      if (landedCommit === null) return null;
      if (finishCommand === null) return plainLine(`${time} ${name}: landed as ${landedCommit}`);
      return plainLine(`${time} ${name}: kept as ${landedCommit}; to finish: ${finishCommand}`);
    }
  }
}

export const runOf = ({ data }: CoppiceEvent): string => ('runId' in data ? data.runId : noRun);

/** Formats a time as `HH:MM:SS` in the local time zone. */
export const timeOfDay = (date: Date): string =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
