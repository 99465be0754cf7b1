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

test('a chat ends when its client has sent no llm.keep for too long, and not before', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', true);
  pass(45_000);
  expect(chats.keep('acme', chat.id)).toBe(true);
  pass(45_000);
  expect(chat.signal.aborted).toBe(false);
  pass(1);
  expect(chat.signal.reason).toMatchObject({ code: 'cancelled', message: 'no llm.keep was received for 45000 ms' });
});

test('a chat that is answered in one message needs no llm.keep', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', false);
  pass(10 * 60_000);
  expect(chat.signal.aborted).toBe(false);
});

test('another tenant can neither keep nor cancel a chat, even if it knows the id', () => {
  const { chats, pass } = chatsAt();
  const chat = chats.begin('acme', true);
  pass(45_000);
  expect([chats.keep('other', chat.id), chats.cancel('other', chat.id)]).toEqual([false, false]);
  expect(chat.signal.aborted).toBe(false);
  pass(1);
  expect(chat.signal.aborted).toBe(true);
});

test("the chat's own tenant can cancel it, and a closed chat no longer exists", () => {
  const { chats } = chatsAt();
  const [one, two] = [chats.begin('acme', true), chats.begin('acme', true)];
  expect(one.id).not.toBe(two.id);
  expect(chats.cancel('acme', one.id)).toBe(true);
  expect(one.signal.reason).toMatchObject({ code: 'cancelled' });
  expect(two.signal.aborted).toBe(false);
  one.close();
  expect([chats.keep('acme', one.id), chats.cancel('acme', one.id)]).toEqual([false, false]);
});

test('the number of chats is limited, and a closed chat makes room for another', () => {
  const { chats } = chatsAt();
  const first = chats.begin('acme', true);
  chats.begin('acme', true);
  expect(() => chats.begin('other', true)).toThrow('this gateway has 2 chats in progress');
  first.close();
  expect(chats.begin('other', true).signal.aborted).toBe(false);
});

test('a lost connection ends all chats in progress, and new ones can begin', () => {
  const { chats } = chatsAt();
  const open = [chats.begin('acme', true), chats.begin('other', false)];
  chats.lost();
  for (const chat of open) {
    expect(chat.signal.reason).toMatchObject({ code: 'unavailable', retryable: true });
    chat.close();
  }
  expect(chats.begin('acme', true).signal.aborted).toBe(false);
});

test('a stop lets chats finish, and no chat begins', async () => {
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

test('chats that do not finish in time get an error', async () => {
  const chats = new Chats({ ...limits, drainMs: 1 });
  const chat = chats.begin('acme', true);
  await chats.stop();
  expect(chat.signal.reason).toMatchObject({ code: 'unavailable', message: 'the gateway is stopping' });
});
