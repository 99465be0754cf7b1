import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '@coppice/bus';
import { subjects, type LogChunk, type Owner } from '@coppice/contracts';
import type { OutputChunk } from './engine/port.ts';

/** Minimum interval between two messages of one command. Output that arrives in between is joined into one message. */
const messageIntervalMs = 50;

/**
 * Returns an `onOutput` callback that publishes a command's output on the log subject of its task. If the server is
 * slow, the callback is slow too, and the engine drops output. Output that can't be published is also lost. `onError`
 * then gets the error, and the command doesn't fail. The next message reports how many bytes are missing before it.
 */
export function liveLog(bus: Bus, owner: Owner, sandboxId: string, onError: (error: unknown) => void) {
  const subject = subjects.log(owner.tenant, owner.taskId);
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  let nextAt = 0;
  let lostBytes = 0;
  return async ({ stream, bytes, droppedBytes }: OutputChunk): Promise<void> => {
    const now = performance.now();
    if (now < nextAt) await sleep(nextAt - now);
    nextAt = performance.now() + messageIntervalMs;
    const missingBytes = droppedBytes + lostBytes;
    const notice = missingBytes === 0 ? '' : `\n… ${missingBytes} bytes left out: coppice show names the whole log …\n`;
    const text = notice + decoders[stream].write(bytes);
    if (text === '') return;
    const chunk: LogChunk = { sandboxId, stream, text, time: new Date().toISOString() };
    try {
      await bus.publish(subject, chunk);
      lostBytes = 0;
    } catch (error) {
      lostBytes = missingBytes + bytes.length;
      onError(error);
    }
  };
}
