/**
 * `coppice trace ID`: shows how a run or task spent its time. Uses only stored events and transcripts, so tracing may
 * be off. If tracing is on, also prints the trace id and, if COPPICE_JAEGER_URL is set, the trace's address in Jaeger.
 */
import { coppiceEventSchema, streams, subjects } from '@coppice/contracts';
import type { CoppiceEvent, TranscriptEntry } from '@coppice/contracts';
import { sampledTraceId } from '@coppice/telemetry';
import type { ApiClient } from '../api-client.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTarget } from '../ids.ts';
import type { Target } from '../ids.ts';
import { jsonLine } from '../output/text.ts';
import { traceLines } from '../output/trace-lines.ts';
import { runTree, taskTree } from '../trace/tree.ts';
import { turnsOf } from '../transcript.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export function traceCommand(session: Session, id: string, options: { json: boolean }): CommandResult {
  const { terminal, environment } = session;
  const jaeger = jaegerFrom(environment);
  return withClient(session, async (client) => {
    const target = await resolveTarget(client, id);
    const { events, traceId } = await eventsOf(client, target);
    const turns = new Map<string, TranscriptEntry[]>();
    for (const taskId of tasksIn(target, events)) {
      const found = await Array.fromAsync(turnsOf(client, taskId), ({ entry }) => entry);
      turns.set(taskId, found);
    }
    const stored = { events, turns };
    const tree = target.kind === 'run' ? runTree(target.runId, stored) : taskTree(target.taskId, stored);
    if (tree === null) throw new CliError(exitCodes.badInput, `no event of ${id} is stored any more`);
    const link = jaeger === null || traceId === null ? null : `${jaeger}/trace/${traceId}`;
    if (options.json) {
      terminal.out(jsonLine({ traceId, link, ...tree }));
      return exitCodes.done;
    }
    for (const line of traceLines(tree, Date.now(), terminal.colours)) terminal.out(line);
    terminal.out(link ?? whyNoLink(traceId));
    return exitCodes.done;
  });
}

const whyNoLink = (traceId: string | null): string =>
  traceId === null
    ? 'no OpenTelemetry trace was kept: traces are off, or this one was not sampled'
    : `trace ${traceId} (COPPICE_JAEGER_URL is not set)`;

/** @throws CliError if the value is not an http(s) URL */
function jaegerFrom(environment: NodeJS.ProcessEnv): string | null {
  const text = environment['COPPICE_JAEGER_URL'] ?? '';
  if (text === '') return null;
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return text.replace(/\/+$/, '');
  throw new CliError(
    exitCodes.badInput,
    `COPPICE_JAEGER_URL: expected an address such as http://127.0.0.1:16686, got ${JSON.stringify(text)}`,
  );
}

/**
 * Reads all events of the run, even for one task, since the events of other tasks show what the task waited for.
 * `traceId` is the id of the first sampled trace. Later commands of the user have separate traces.
 */
async function eventsOf(
  { bus, tenant }: ApiClient,
  { runId }: Target,
): Promise<{ events: CoppiceEvent[]; traceId: string | null }> {
  const events = new Map<string, CoppiceEvent>();
  let traceId: string | null = null;
  for await (const message of bus.read(streams.events, subjects.event(tenant, runId, '*', '*'))) {
    traceId ??= sampledTraceId(message.headers['traceparent']);
    const event = coppiceEventSchema.safeParse(message.json());
    if (event.success && !events.has(event.data.id)) events.set(event.data.id, event.data);
  }
  return { events: [...events.values()], traceId };
}

const tasksIn = (target: Target, events: readonly CoppiceEvent[]): string[] =>
  target.kind === 'task'
    ? [target.taskId]
    : [...new Set(events.flatMap((event) => ('taskId' in event.data ? [event.data.taskId] : [])))];
