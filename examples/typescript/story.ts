/** The calls of both examples in this folder. They send an invalid request, follow a run to its end, and cancel another run. */
import { randomUUID } from 'node:crypto';

export type Event = { id: string; type: string; data: Data };
type Data = { name?: string; to?: string; state?: string; landedCommit?: string | null; reason?: string | null };
type Issue = { field: string; expected: string; received: string };
/** A method's output. If the method failed, only `error` is set. */
export type Answer = {
  runId: string;
  error?: { code: string; message: string; retryable: boolean; details?: { issues?: Issue[] } };
};
export type Coppice = {
  call: (method: string, input: object) => Promise<Answer>;
  follow: (runId: string) => AsyncIterable<Event>;
};

const [repository, model] = process.argv.slice(2);

/** Submits a run and prints its events. Cancels the run when the task reaches the state `cancelAt`. */
async function run({ call, follow }: Coppice, file: string, prompt: unknown, cancelAt?: string): Promise<void> {
  const agent = { kind: 'prompt', file };
  const task = { name: 'notes', description: 'Write the notes', prompt, model, agent, verify: `test -s ${file}` };
  // The client chooses the request id. A second request with the same id creates no second run.
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

/** @param file name of the file that each task writes */
export async function play(coppice: Coppice, file: string): Promise<void> {
  await run(coppice, file, 7); // Coppice rejects this request, since a prompt must be text.
  await run(coppice, file, 'Write short notes.');
  await run(coppice, file, 'Write a long book.', 'working');
}
