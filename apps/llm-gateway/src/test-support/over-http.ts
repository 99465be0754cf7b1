/** Tests that every wire format must pass over HTTP. The test file of each wire format provides a recorded stream. */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Attempt } from '../collect.ts';
import { httpProvider } from '../transport/provider.ts';
import type { Wire } from '../transport/wire.ts';
import type { Provider } from '../provider/port.ts';
import { callOnce, callUntil, providerServerAt, generous, watched } from './attempt.ts';
import { playError, startModelServer } from './model-server.ts';
import type { ModelServer } from './model-server.ts';

export type RecordedAnswer = {
  wire: Wire;
  bytes: Uint8Array;
  /** Position in bytes. A stream that is cut there has some output, but no end. */
  middle: number;
  /** Part of the expected result of the whole stream. */
  answer: object;
  /** An overload error as this wire format's vendor sends it. */
  overloaded: { status: number; body: object };
};

const contentTypes = { 'server-sent-events': 'text/event-stream; charset=utf-8', 'json-lines': 'application/x-ndjson' };

/** Answers with these bytes, then calls `next`. */
export const playBytes =
  (framing: Wire['framing'], bytes: Uint8Array, next = (response: ServerResponse): void => void response.end()) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': contentTypes[framing] });
    // Sends the headers even if `bytes` is empty.
    response.flushHeaders();
    if (bytes.length === 0) next(response);
    else response.write(bytes, () => next(response));
  };

export function testOverHttp(recording: () => Promise<RecordedAnswer>): void {
  let server: ModelServer;
  let provider: Provider;
  let played: RecordedAnswer;
  beforeAll(async () => {
    played = await recording();
    server = await startModelServer();
    provider = httpProvider(at(), generous);
  });
  afterAll(async () => {
    await provider.close?.();
    await server.close();
  });
  beforeEach(() => {
    server.requests.length = 0;
  });

  const at = () => providerServerAt(new URL(server.baseUrl).origin, played.wire);
  const play = (bytes: Uint8Array, next?: (response: ServerResponse) => void) =>
    server.play(playBytes(played.wire.framing, bytes, next));
  /** Makes a call with one lowered time limit. Waits until the provider has closed the connection. */
  const callWith = async (limits: Partial<typeof generous>): Promise<Attempt> => {
    const own = httpProvider(at(), { ...generous, ...limits });
    const attempt = await callOnce(own);
    await server.requests[0]?.abandoned;
    await own.close?.();
    return attempt;
  };
  const leavesOpen = (): void => {};
  /** Counts the deltas that a client reads before the batch with `response-end`. */
  const takenOf = async (bytes: Uint8Array): Promise<number> => {
    let all = 0;
    play(bytes);
    await callOnce(watched(provider, (taken) => (all = taken)));
    return all;
  };

  describe('over HTTP', () => {
    test('a whole stream is an answer', async () => {
      play(played.bytes);
      expect(await callOnce(provider)).toMatchObject({ status: 'complete', ...played.answer });
    });

    test.each([
      ['ends', (response: ServerResponse) => void response.end()],
      ['breaks', (response: ServerResponse) => void response.destroy()],
    ])('a stream that %s in the middle is a failure, and one that does so before it begins', async (_, next) => {
      const error = { code: 'provider-failed', retryable: true };
      const beginning = played.bytes.subarray(0, played.middle);
      const all = await takenOf(beginning);
      expect(await callUntil(provider, all, (written) => play(beginning, written), next)).toMatchObject({
        status: 'failed',
        outputBegan: true,
        error,
      });
      play(new Uint8Array(), next);
      expect(await callOnce(provider)).toMatchObject({ status: 'failed', outputBegan: false });
    });

    test('a stream that breaks or is left open after its end is an answer', async () => {
      const all = await takenOf(played.bytes);
      const breaks = (response: ServerResponse) => void response.destroy();
      expect(await callUntil(provider, all, (written) => play(played.bytes, written), breaks)).toMatchObject({
        status: 'complete',
        ...played.answer,
      });
      server.requests.length = 0;
      play(played.bytes, leavesOpen);
      expect(await callWith({ afterFinishMsMax: 150 })).toMatchObject({ status: 'complete', ...played.answer });
    });

    test('a stream that falls silent is ended, and its connection closed', async () => {
      play(played.bytes.subarray(0, played.middle), leavesOpen);
      const silent = { message: expect.stringContaining('fell silent'), retryable: true };
      expect(await callWith({ idleMsMax: 150 })).toMatchObject({ status: 'failed', outputBegan: true, error: silent });
      server.requests.length = 0;
      play(new Uint8Array(), leavesOpen);
      const late = { message: expect.stringContaining('did not begin'), retryable: true };
      expect(await callWith({ firstEventMsMax: 150 })).toMatchObject({
        status: 'failed',
        outputBegan: false,
        error: late,
      });
    });

    test('when the caller leaves, the connection is closed', async () => {
      const abort = new AbortController();
      play(played.bytes.subarray(0, played.middle), () => abort.abort(new Error('enough')));
      expect(await callOnce(provider, abort.signal)).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('enough') },
      });
      await server.requests[0]?.abandoned;
    });

    test('a refused request is reported as such, and so is an error after HTTP 200', async () => {
      const { status, body } = played.overloaded;
      const error = { code: 'provider-failed', retryable: true };
      server.play(playError(status, body));
      expect(await callOnce(provider)).toMatchObject({ status: 'failed', outputBegan: false, error });
      server.play(playError(200, body));
      expect(await callOnce(provider)).toMatchObject({ status: 'failed', outputBegan: false, error });
      server.play(playError(429, { error: { message: 'slow down' } }, { 'retry-after': '2' }));
      expect(await callOnce(provider)).toMatchObject({
        error: { code: 'provider-limited', details: { retryAfterMs: 2_000 } },
      });
    });

    test('the key is in no error, even if the server repeats it', async () => {
      const key = at().key ?? '';
      const quoting = { error: { type: key, message: `no such key: ${key}` } };
      for (const answer of [playError(401, quoting), playError(200, quoting), playError(500, `<p>${key}`)]) {
        server.play(answer);
        const attempt = await callOnce(provider);
        expect(attempt.status).toBe('failed');
        if (attempt.status !== 'failed') continue;
        const { error } = attempt;
        expect(JSON.stringify([error.toWire(), error.stack, String(error.cause)])).not.toContain(key);
        expect(error.message).toContain('[redacted]');
      }
    });

    test('a page is a failure that says what to look at', async () => {
      server.play(playError(200, '<html>Welcome</html>'));
      expect(await callOnce(provider)).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('base URL'), retryable: false },
      });
    });
  });
}
