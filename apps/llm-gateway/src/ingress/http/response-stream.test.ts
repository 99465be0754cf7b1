import { PassThrough } from 'node:stream';
import type { ServerResponse } from 'node:http';
import { afterEach, expect, test, vi } from 'vitest';
import { Outlet } from './response-stream.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('a client that reads slowly has more time if more text is buffered', async () => {
  const timeout = vi.spyOn(AbortSignal, 'timeout');
  const response = new PassThrough({ highWaterMark: 1 });
  const waiting = 12 * 1024 * 1024;
  Object.defineProperty(response, 'writableLength', { value: waiting });
  Object.defineProperty(response, 'writableNeedDrain', { value: true });
  const full = new Outlet(response as unknown as ServerResponse, new AbortController().signal).write('more');
  expect(timeout).toHaveBeenCalledWith(120_000 + (1_000 * waiting) / (32 * 1024));
  response.emit('drain');
  await full;
});
