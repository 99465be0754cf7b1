import fc from 'fast-check';
import { expect, test } from 'vitest';
import { liveBufferBytesMax } from './limits.ts';
import { BoundedCapture, LiveOutput } from './output.ts';

test('the beginning and the end of the output are captured, whatever its length and chunks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary-ascii', maxLength: 40 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 64 }),
      (pieces, keepBytes) => {
        const capture = new BoundedCapture(keepBytes);
        for (const piece of pieces) capture.push(Buffer.from(piece));
        const whole = pieces.join('');
        const missing = whole.length - 2 * keepBytes;
        const expected =
          missing <= 0
            ? whole
            : `${whole.slice(0, keepBytes)}\n… ${missing} bytes left out …\n${whole.slice(-keepBytes)}`;
        expect(capture.result()).toEqual({ text: expected, totalBytes: whole.length, truncated: missing > 0 });
      },
    ),
  );
});

test('a million tiny chunks take no more memory than the limit', () => {
  const capture = new BoundedCapture(1_000_000);
  const piece = Buffer.from('x');
  for (let count = 0; count < 3_000_000; count++) capture.push(piece);
  expect(capture.result()).toMatchObject({ totalBytes: 3_000_000, truncated: true });
}, 20_000);

test('a consumer that never settles neither grows the memory nor delays the end', async () => {
  let calls = 0;
  const live = new LiveOutput(() => {
    calls++;
    return new Promise(() => undefined);
  });
  for (let count = 0; count < 100; count++) live.push('stdout', Buffer.alloc(liveBufferBytesMax / 10));
  await live.finish(50);
  expect(calls).toBe(1);
});

test('bytes dropped at the end, and bytes that a slow consumer did not get in time, are reported', async () => {
  const heard: { bytes: number; droppedBytes: number }[] = [];
  let go = () => {};
  const live = new LiveOutput(async ({ bytes, droppedBytes }) => {
    heard.push({ bytes: bytes.length, droppedBytes });
    if (heard.length === 1) await new Promise<void>((resolve) => (go = resolve));
  });
  live.push('stdout', Buffer.alloc(10));
  await Promise.resolve().then(() => {});
  live.push('stderr', Buffer.alloc(liveBufferBytesMax));
  live.push('stdout', Buffer.alloc(30));
  await live.finish(20);
  expect(heard).toEqual([{ bytes: 10, droppedBytes: 0 }]);
  go();
  await live.finish(1_000);
  expect(heard).toEqual([
    { bytes: 10, droppedBytes: 0 },
    { bytes: 0, droppedBytes: liveBufferBytesMax + 30 },
  ]);
});

test('a slow consumer loses the middle, and gets the end', async () => {
  let text = '';
  let dropped = 0;
  const live = new LiveOutput(async ({ bytes, droppedBytes }) => {
    dropped += droppedBytes;
    text += `${droppedBytes > 0 ? '…' : ''}${bytes.toString()}`;
    await new Promise((resolve) => setTimeout(resolve, 1));
  });
  const pushed = [
    'begin\n',
    ...Array.from({ length: 20_000 }, (_, index) => `a line with the number ${index}\n`),
    'end\n',
  ];
  let received = 0;
  for (const line of pushed) {
    live.push('stdout', Buffer.from(line));
    received += Buffer.byteLength(line);
    if (line === 'begin\n') await new Promise((resolve) => setImmediate(resolve));
  }
  await live.finish(10_000);
  expect(dropped).toBeGreaterThan(0);
  expect(text).toMatch(/^begin\n…[\s\S]*a line with the number 19999\nend\n$/);
  expect(Buffer.byteLength(text.replaceAll('…', '')) + dropped).toBe(received);
});
