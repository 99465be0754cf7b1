/** What the two examples in this folder do with their client: meet a refusal, submit a run and follow it, cancel another. */
import { randomUUID } from 'node:crypto';

export type Event = { id: string; type: string; data: Data };
type Data = { name?: string; to?: string; state?: string; landedCommit?: string | null; reason?: string | null };
type Issue = { field: string; expected: string; received: string };
/** A method's output, or `error`. */
export type Answer = {
  runId: string;
  error?: { code: string; message: string; retryable: boolean; details?: { issues?: Issue[] } };
};
export type Coppice = {
  call: (method: string, input: object) => Promise<Answer>;
  follow: (runId: string) => AsyncIterable<Event>;
};

const [repository, model] = process.argv.slice(2);

/** Submits a run and prints its events; `cancelAt` names a task's state at which it is cancelled. */
async function run({ call, follow }: Coppice, file: string, prompt: unknown, cancelAt?: string): Promise<void> {
  const agent = { kind: 'prompt', file };
  const task = { name: 'notes', description: 'Write the notes', prompt, model, agent, verify: `test -s ${file}` };
  // A request's id is yours to choose: sent again, it is the same run.
  const request = { requestId: randomUUID(), repository, baseBranch: 'main', tasks: [task] };
  const { runId, error } = await call('run.submit', request);
  if (error !== undefined) {
    console.log(`refused ${error.code}`);
    for (const { field, expected, received } of error.details?.issues ?? [])
      console.log(`  ${field}: expected ${expected}, received ${received}`);
    return;
  }
  console.log(`submitted ${runId}`);
  for await (const { type, data } of follow(runId)) {
    const words = [type.replace('coppice.', ''), data.name, data.to ?? data.state, data.landedCommit, data.reason];
    console.log(words.filter(Boolean).join(' '));
    if (cancelAt !== undefined && data.to === cancelAt) await call('run.cancel', { runId });
  }
}

/** @param file what each task writes */
export async function play(coppice: Coppice, file: string): Promise<void> {
  await run(coppice, file, 7); // A prompt is text.
  await run(coppice, file, 'Write short notes.');
  await run(coppice, file, 'Write a long book.', 'working');
}
