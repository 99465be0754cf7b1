import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '@coppice/bus';
import { subjects, type LogChunk, type Owner } from '@coppice/contracts';
import type { OutputChunk } from './engine/port.ts';

/** Between two messages of one command: meanwhile lines gather, so that a chatty command isn't a message a line. */
const messageIntervalMs = 50;

/**
 * Publishes a command's output on its task's log subject. For onOutput: a slow server makes it slow, and then output is
 * dropped with a word about how much. A failure to publish is nothing a command should fail for.
 */
export function liveLog(bus: Bus, owner: Owner, sandboxId: string, onError: (error: unknown) => void) {
  const subject = subjects.log(owner.tenant, owner.taskId);
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  let nextAt = 0;
  return async ({ stream, bytes, droppedBytes }: OutputChunk): Promise<void> => {
    const now = performance.now();
    if (now < nextAt) await sleep(nextAt - now);
    nextAt = performance.now() + messageIntervalMs;
    const dropped = droppedBytes === 0 ? '' : `\n… ${droppedBytes} bytes left out …\n`;
    const text = dropped + decoders[stream].write(bytes);
    if (text === '') return;
    const chunk: LogChunk = { sandboxId, stream, text, time: new Date().toISOString() };
    await bus.publish(subject, chunk).catch(onError);
  };
}
