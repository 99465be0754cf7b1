import type { IncomingMessage } from 'node:http';
import { parseStrictJson } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { ByteBudget } from '../../byte-budget.ts';
import { bytesOfHeap } from '../../heap.ts';
import { refusal } from './error-response.ts';
import { facadeLimits } from './limits.ts';

/** Creates the budget in bytes that the bodies of all requests share. */
export const bodyRoom = (): Admission =>
  new Admission({ total: bytesOfHeap(facadeLimits.bodiesOfHeapMax, facadeLimits.bodyBytesMax) });

/** Created only once, since creating an error is slow and every request emits `close`, usually after its end. */
const brokeOff = new CoppiceError('cancelled', 'the request broke off');

export type JsonBody = { body: unknown; bytes: number };

/** Reads the body as JSON. Takes the body's bytes from `room`. The caller must return them. @throws CoppiceError */
export async function readJsonBody(request: IncomingMessage, room: Admission): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw refusal('invalid-request', 415, `the body has the encoding ${encoding}; send it without`);
  const budget = new ByteBudget('the body of the request', facadeLimits.bodyBytesMax);
  // Rejects a body before it is read, if its content-length is too large.
  new ByteBudget('the body of the request', facadeLimits.bodyBytesMax).take(
    Number(request.headers['content-length'] ?? 0),
  );
  const pieces: Buffer[] = [];
  try {
    await read(request, (piece) => {
      budget.take(piece.length);
      if (!room.tryTake(piece.length)) throw refusal('unavailable', 503, 'too many large requests at once');
      pieces.push(piece);
    });
    const [only = Buffer.alloc(0), ...others] = pieces;
    const whole = others.length === 0 ? only : Buffer.concat(pieces);
    const { bodyValuesMax: valuesMax, bodyDepthMax: depthMax } = facadeLimits;
    return { body: parseStrictJson(whole, 'the body', { valuesMax, depthMax }), bytes: budget.taken };
  } catch (error) {
    room.giveBack(pieces.reduce((sum, { length }) => sum + length, 0));
    throw error;
  }
}

/**
 * Reads the body with event listeners, since an async iterator would take as long as parsing the JSON. If `take`
 * throws, the connection stays open for the response.
 * @throws the error of `take`; CoppiceError `cancelled` if the client disconnects
 */
function read(request: IncomingMessage, take: (piece: Buffer) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (request.destroyed) reject(brokeOff);
  const onClose = () => reject(brokeOff);
  const onData = (piece: Buffer) => {
    try {
      take(piece);
    } catch (error) {
      request.off('data', onData).off('close', onClose).pause();
      reject(error);
    }
  };
  // If the whole body arrives, `close` follows `end`. Rejecting the promise then has no effect, since it is already
  // resolved.
  request.on('data', onData).once('end', resolve).once('close', onClose);
  return promise;
}
