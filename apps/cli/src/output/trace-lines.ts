import { shownModel } from '@coppice/contracts';
import { otherAnswerer } from '../transcript.ts';
import { waitCauses } from '../trace/step.ts';
import type { Step, WaitCause, Waits } from '../trace/step.ts';
import type { Colours } from './colours.ts';
import { stateText } from './states.ts';
import { costText, durationText, plainLine } from './text.ts';
import { displayWidth, padEnd, truncate } from './width.ts';

const nameColumnsMax = 40;
const durationColumns = 7;
/**
 * Shorter steps and waits are left out, since they don't explain why a task was slow. The JSON output contains them.
 */
const shownMsMin = 100;

const causeTexts: Record<WaitCause, string> = {
  dependency: 'for tasks it depends on',
  place: 'for a place',
  'landing-turn': 'for its turn to land',
  approval: 'for approval',
  merge: 'to be merged',
  queue: 'in queues',
  orchestrator: 'for the orchestrator',
};

type Row = { branches: string; step: Step };

/** @param nowMs time in milliseconds since 1970, which counts as the end of a step that still runs */
export function traceLines(root: Step, nowMs: number, colours: Colours): string[] {
  const rows = rowsOf(root, nowMs);
  const nameOf = ({ branches, step }: Row) => branches + truncate(nameText(step), nameColumnsMax);
  const columns = Math.max(...rows.map((row) => displayWidth(nameOf(row))));
  return rows.map((row) => {
    const { step } = row;
    const duration = durationText((step.endedAtMs ?? nowMs) - step.startedAtMs).padStart(durationColumns);
    const line = `${padEnd(nameOf(row), columns)}  ${duration}${step.endedAtMs === null ? ' so far' : ''}`;
    const details = detailsOf(step).join(', ');
    return details === '' ? line : `${line}  ${colours.dim(details)}`;
  });
}

const nameText = ({ kind, name }: Step) => (kind === 'state' ? stateText(name) : plainLine(name));

function rowsOf(step: Step, nowMs: number, branches = '', below = ''): Row[] {
  const shown = step.children.filter((child) => isShown(child, nowMs));
  const children = shown.flatMap((child, index) => {
    const isLast = index === shown.length - 1;
    return rowsOf(child, nowMs, `${below}${isLast ? '└─ ' : '├─ '}`, `${below}${isLast ? '   ' : '│  '}`);
  });
  return [{ branches, step }, ...children];
}

const isShown = ({ kind, startedAtMs, endedAtMs, queuedMs }: Step, nowMs: number): boolean =>
  (kind !== 'step' && kind !== 'wait') || (endedAtMs ?? nowMs) - startedAtMs + (queuedMs ?? 0) >= shownMsMin;

function detailsOf({
  kind,
  outcome,
  reason,
  usage,
  queuedMs,
  attempts,
  cached,
  model,
  answeredBy,
  waits,
  children,
}: Step): string[] {
  const turns =
    kind === 'task' ? children.flatMap((state) => state.children.filter((each) => each.kind === 'turn')) : [];
  const said = [
    kind === 'task' && outcome !== null ? stateText(outcome) : outcome,
    reason,
    model === null ? null : modelText(model, answeredBy),
    queuedMs === null ? null : `queued ${durationText(queuedMs)}`,
    kind === 'step' ? backText(waits) : null,
    attempts === null || attempts === 1 ? null : `${attempts} attempts`,
    cached ? 'from the cache' : null,
    turns.length === 0 ? null : `${turns.length} ${turns.length === 1 ? 'turn' : 'turns'}`,
    usage === null ? null : `${usage.inputTokens} tokens in, ${usage.outputTokens} out`,
    usage === null ? null : costText(usage.costUsd),
    kind === 'task' ? waitsText(waits) : null,
  ];
  return said.flatMap((text) => (text === null ? [] : [plainLine(text)]));
}

function modelText(model: string, answeredBy: string | null): string {
  const other = otherAnswerer(model, answeredBy);
  return other === null ? shownModel(model) : `${shownModel(model)} answered by ${other}`;
}

/** Formats the time from a step's end at the service until the orchestrator handled the result. */
function backText({ orchestrator = 0 }: Waits): string | null {
  return orchestrator < shownMsMin ? null : `${durationText(orchestrator)} until the orchestrator took its result`;
}

function waitsText(waits: Waits): string | null {
  const texts = waitCauses.flatMap((cause) => {
    const waitMs = waits[cause] ?? 0;
    return waitMs < shownMsMin ? [] : [`${durationText(waitMs)} ${causeTexts[cause]}`];
  });
  return texts.length === 0 ? null : `waited ${texts.join(', ')}`;
}
