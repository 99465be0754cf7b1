import { api } from '@coppice/contracts';
import { ask } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTask } from '../ids.ts';
import { withoutCommit } from '../no-commit.ts';
import { pullCommand } from '../output/report.ts';
import { jsonLine, plainText, visibleControls } from '../output/text.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export type DiffOptions = { json: boolean; raw: boolean };

/**
 * `coppice diff ID`: prints a task's patch. With `--raw`, the patch is unchanged. Otherwise, control characters are
 * removed for a terminal, and replaced by visible symbols for a pipe or file.
 */
export function diffCommand(session: Session, id: string, options: DiffOptions): CommandResult {
  return withClient(session, async (client) => {
    const { taskId, runId, name } = await resolveTask(client, id);
    const task = await ask(client, api.taskGet, { taskId });
    if (task.commit === null) {
      const pull = pullCommand(task);
      throw withoutCommit(task, pull === null ? '' : `; its work is kept: ${pull}`);
    }
    const diff = await ask(client, api.taskDiff, { taskId });
    if (options.json) session.terminal.out(jsonLine(diff));
    else if (options.raw) session.terminal.write(diff.patch);
    else showDiff(session, diff.patch, `coppice diff ${runId}/${name} --raw`);
    if (diff.truncated)
      session.terminal.err(
        'The change is larger: the rest is left out. The task’s branch has all of it (coppice show).',
      );
    return exitCodes.done;
  });
}

function showDiff(session: Session, patch: string, rawCommand: string): void {
  const { terminal } = session;
  if (terminal.interactive) {
    for (const line of plainText(patch).trimEnd().split('\n')) terminal.out(paintDiff(session, line));
    return;
  }
  const shown = visibleControls(patch);
  terminal.write(shown);
  if (shown !== patch)
    terminal.err(
      `The change has control characters. They are replaced by visible ones, so this patch can't be applied. For the original: ${rawCommand}`,
    );
}

function paintDiff({ terminal: { colours } }: Session, line: string): string {
  if (/^(diff |index |\+\+\+ |--- )/.test(line)) return colours.bold(line);
  if (line.startsWith('@@')) return colours.cyan(line);
  if (line.startsWith('+')) return colours.green(line);
  return line.startsWith('-') ? colours.red(line) : line;
}
