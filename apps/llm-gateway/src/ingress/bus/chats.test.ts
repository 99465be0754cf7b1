import { expect, test } from 'vitest';
import { Chats } from './chats.ts';
import { busEndpointLimits } from './limits.ts';

const limits = { ...busEndpointLimits, chatsMax: 2, unkeptMsMax: 45_000, drainMs: 60_000 };

function chatsAt() {
  const time = { ms: 1_000 };
  const chats = new Chats(limits, () => time.ms);
  const pass = (ms: number) => {
    time.ms += ms;
    chats.sweep();
  };
  return { chats, pass };
}

test('a chat ends when its client was silent for too long, and not before', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', true);
  pass(45_000);
  expect(chats.keep('acme', chat.id)).toBe(true);
  pass(45_000);
  expect(chat.signal.aborted).toBe(false);
  pass(1);
  expect(chat.signal.reason).toMatchObject({ code: 'cancelled', message: 'no llm.keep was received for 45000 ms' });
});

test('one that is answered in one message needs no keeping', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', false);
  pass(10 * 60_000);
  expect(chat.signal.aborted).toBe(false);
});

test('another tenant neither keeps nor cancels it, though it knows its id', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', true);
  pass(45_000);
  expect([chats.keep('other', chat.id), chats.cancel('other', chat.id)]).toEqual([false, false]);
  expect(chat.signal.aborted).toBe(false);
  pass(1);
  expect(chat.signal.aborted).toBe(true);
});

test('it is cancelled by its own; once closed it is not there any more', () => {
  const { chats } = chatsAt();
  const [one, two] = [chats.begin('acme', true), chats.begin('acme', true)];
  expect(one.id).not.toBe(two.id);
  expect(chats.cancel('acme', one.id)).toBe(true);
  expect(one.signal.reason).toMatchObject({ code: 'cancelled' });
  expect(two.signal.aborted).toBe(false);
  one.close();
  expect([chats.keep('acme', one.id), chats.cancel('acme', one.id)]).toEqual([false, false]);
});

test('there are no more than the limit, and a place that is given back is free', () => {
  const { chats } = chatsAt();
  const first = chats.begin('acme', true);
  chats.begin('acme', true);
  expect(() => chats.begin('other', true)).toThrow('this gateway has 2 chats in progress');
  first.close();
  expect(chats.begin('other', true).signal.aborted).toBe(false);
});

test('a lost connection ends all that are in progress, and others begin', () => {
  const { chats } = chatsAt();
  const open = [chats.begin('acme', true), chats.begin('other', false)];
  chats.lost();
  for (const chat of open) {
    expect(chat.signal.reason).toMatchObject({ code: 'unavailable', retryable: true });
    chat.close();
  }
  expect(chats.begin('acme', true).signal.aborted).toBe(false);
});

test('a stop lets chats end, and none begins', async () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', true);
  const stopped = chats.stop();
  pass(10 * 60_000);
  expect(chat.signal.aborted).toBe(false);
  expect(() => chats.begin('acme', true)).toThrow('the gateway is stopping');
  chat.close();
  await stopped;
  expect(chat.signal.aborted).toBe(false);
});

test('those that do not end get an error', async () => {
  const chats = new Chats({ ...limits, drainMs: 1 });
  const chat = chats.begin('acme', true);
  await chats.stop();
  expect(chat.signal.reason).toMatchObject({ code: 'unavailable', message: 'the gateway is stopping' });
});
