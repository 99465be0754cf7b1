import type { IncomingMessage } from 'node:http';
import { parseStrictJson } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { ByteBudget } from '../../byte-budget.ts';
import { bytesOfHeap } from '../../heap.ts';
import { refusal } from './complaint.ts';
import { facadeLimits } from './limits.ts';

/** How many bytes the bodies of all requests may still have. */
export class BodyRoom {
  readonly #bytesMax: number;
  #taken = 0;

  constructor(bytesMax: number = bytesOfHeap(facadeLimits.bodiesOfHeapMax, facadeLimits.bodyBytesMax)) {
    this.#bytesMax = bytesMax;
  }

  tryTake(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }
}

/** Made once: each request is closed some day, most of them when they are over. */
const brokeOff = new CoppiceError('cancelled', 'the request broke off');

export type JsonBody = { body: unknown; bytes: number };

/** The body as JSON with its size, for which there is room until `giveBack`. @throws CoppiceError. */
export async function readJsonBody(request: IncomingMessage, room: BodyRoom): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw refusal('invalid-request', 415, `the body has the encoding ${encoding}; send it without`);
  const budget = new ByteBudget('the body of the request', facadeLimits.bodyBytesMax);
  // One that is announced as too large isn't waited for.
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

/** Not by its iterator, which takes as long as reading the JSON. A request that is refused is still answered, so its connection stays. @throws what `take` throws. */
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
  // Its end comes before it is closed; what is told after the first is heard by nobody.
  request.on('data', onData).once('end', resolve).once('close', onClose);
  return promise;
}
