import type { IncomingMessage } from 'node:http';
import { parseStrictJson } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { ByteBudget } from '../../byte-budget.ts';
import { bytesOfHeap } from '../../heap.ts';
import { refusal } from './error-response.ts';
import { facadeLimits } from './limits.ts';

/** Room for the bodies of all requests together. */
export const bodyRoom = (): Admission =>
  new Admission({ total: bytesOfHeap(facadeLimits.bodiesOfHeapMax, facadeLimits.bodyBytesMax) });

/** Created once, since `close` is emitted for every request, usually after its end, and creating an error is slow. */
const brokeOff = new CoppiceError('cancelled', 'the request broke off');

export type JsonBody = { body: unknown; bytes: number };

/** Reads the body as JSON. Reserves its bytes in `room`; the caller must give them back. @throws CoppiceError. */
export async function readJsonBody(request: IncomingMessage, room: Admission): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw refusal('invalid-request', 415, `the body has the encoding ${encoding}; send it without`);
  const budget = new ByteBudget('the body of the request', facadeLimits.bodyBytesMax);
  // Rejects a body whose content-length is too large without reading it.
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
 * Reads the body with event listeners, since the async iterator takes as long as parsing the JSON. Keeps the connection of a rejected request open, since that
 * request still gets a response.
 * @throws what `take` throws.
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
  // If the whole body arrives, `close` is emitted after `end`. The promise is then already settled, so rejecting it has no effect.
  request.on('data', onData).once('end', resolve).once('close', onClose);
  return promise;
}
