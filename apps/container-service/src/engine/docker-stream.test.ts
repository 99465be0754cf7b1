import { expect, test } from 'vitest';
import { OutputDemultiplexer } from './docker-stream.ts';

function frame(kind: number, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

test('frames are separated wherever the stream is split into chunks', () => {
  const bytes = Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, ''), frame(1, ' more')]);
  for (let size = 1; size <= bytes.length; size++) {
    const texts = { stdout: '', stderr: '' };
    const demultiplexer = new OutputDemultiplexer((stream, chunk) => (texts[stream] += chunk.toString()));
    for (let start = 0; start < bytes.length; start += size) demultiplexer.push(bytes.subarray(start, start + size));
    expect(texts).toEqual({ stdout: 'out more', stderr: 'err' });
  }
});
