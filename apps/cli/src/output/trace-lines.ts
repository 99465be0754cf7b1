/** A tree of steps as lines for a person. */
import { shownModel } from '@coppice/contracts';
import type { Step } from '../trace-tree.ts';
import type { Colours } from './colours.ts';
import { costText, displayWidth, durationText, padEnd, plainLine, truncate } from './text.ts';

const nameColumnsMax = 40;
const durationColumns = 7;

type Row = { branches: string; step: Step };

/** @param nowMs for what hasn't ended, in milliseconds since 1970 */
export function traceLines(root: Step, nowMs: number, colours: Colours): string[] {
  const rows = rowsOf(root, '', '');
  const nameOf = ({ branches, step }: Row) => branches + truncate(plainLine(step.name), nameColumnsMax);
  const columns = Math.max(...rows.map((row) => displayWidth(nameOf(row))));
  return rows.map((row) => {
    const { step } = row;
    const duration = durationText((step.endedAtMs ?? nowMs) - step.startedAtMs).padStart(durationColumns);
    const line = `${padEnd(nameOf(row), columns)}  ${duration}${step.endedAtMs === null ? ' so far' : ''}`;
    const details = detailsOf(step).join(', ');
    return details === '' ? line : `${line}  ${colours.dim(details)}`;
  });
}

function rowsOf(step: Step, branches: string, below: string): Row[] {
  const children = step.children.flatMap((child, index) => {
    const isLast = index === step.children.length - 1;
    return rowsOf(child, `${below}${isLast ? '└─ ' : '├─ '}`, `${below}${isLast ? '   ' : '│  '}`);
  });
  return [{ branches, step }, ...children];
}

function detailsOf({ kind, outcome, reason, usage, queuedMs, attempts, model, children }: Step): string[] {
  const turns = kind === 'task' ? children.reduce((count, state) => count + state.children.length, 0) : 0;
  const said = [
    outcome,
    reason,
    model === null ? null : shownModel(model),
    queuedMs === null ? null : `queued ${durationText(queuedMs)}`,
    attempts === null || attempts === 1 ? null : `${attempts} attempts`,
    turns === 0 ? null : `${turns} ${turns === 1 ? 'turn' : 'turns'}`,
    usage === null ? null : `${usage.inputTokens} tokens in, ${usage.outputTokens} out`,
    usage === null ? null : costText(usage.costUsd),
  ];
  return said.flatMap((text) => (text === null ? [] : [plainLine(text)]));
}
