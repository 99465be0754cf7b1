import { Bus } from '@coppice/bus';
import { subjects, type LogChunk } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import { expect, test } from 'vitest';
import { liveLog } from './live-log.ts';

const owner = { tenant: 'default', runId: 'raaaaaaaaaaaaaaaa', taskId: 'taaaaaaaaaaaaaaaa' };

test('output whose publish fails is counted by the next message, together with what the engine dropped', async () => {
  await using nats = await startNatsServer({ auth: true });
  const bus = await Bus.connect({ ...nats.connection, name: 'live-log-test' });
  try {
    await bus.ensureResources();
    const texts: string[] = [];
    bus.subscribeCore(subjects.log(owner.tenant, owner.taskId), (data) => {
      texts.push((JSON.parse(new TextDecoder().decode(data)) as LogChunk).text);
    });
    await bus.flush();
    const errors: unknown[] = [];
    const write = liveLog(bus, owner, 's', (error) => errors.push(error));
    const tooLarge = Buffer.alloc(bus.payloadBytesMax, 'x');

    await write({ stream: 'stdout', bytes: Buffer.from('first\n'), droppedBytes: 0 });
    await write({ stream: 'stdout', bytes: tooLarge, droppedBytes: 3 });
    await write({ stream: 'stdout', bytes: tooLarge, droppedBytes: 0 });
    expect(errors).toHaveLength(2);
    await write({ stream: 'stdout', bytes: Buffer.from('second\n'), droppedBytes: 4 });
    await write({ stream: 'stdout', bytes: Buffer.from('third\n'), droppedBytes: 0 });

    await eventually(async () => expect(texts).toHaveLength(3));
    const missing = 2 * tooLarge.length + 7;
    expect(texts[0]).toBe('first\n');
    expect(texts[1]).toMatch(new RegExp(`^\\n… ${missing} bytes left out: .*\\nsecond\\n$`));
    expect(texts[2]).toBe('third\n');
  } finally {
    await bus.close();
  }
});
