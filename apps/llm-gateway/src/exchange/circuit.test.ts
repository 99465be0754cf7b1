import { expect, test } from 'vitest';
import { Circuit } from './circuit.ts';

const settings = { failuresMax: 3, openMs: 1_000 };
const admitted = { admitted: true, probe: false };
const probe = { admitted: true, probe: true };

/** A circuit that has just opened, at 0. */
function opened(): Circuit {
  const circuit = new Circuit(settings);
  for (let failures = 0; failures < 3; failures++) circuit.failed(false, 0);
  return circuit;
}

test('it opens after so many failures in a row, and an answer in between begins the count anew', () => {
  const circuit = new Circuit(settings);
  expect([circuit.failed(false, 0), circuit.failed(false, 0)]).toEqual([false, false]);
  expect(circuit.answered()).toBe(false);
  expect([circuit.failed(false, 0), circuit.failed(false, 0)]).toEqual([false, false]);
  expect(circuit.admit(0)).toEqual(admitted);
  expect(circuit.failed(false, 0)).toBe(true);
  expect(circuit.admit(400)).toEqual({ admitted: false, forMs: 600, why: 'failing', last: null });
});

test('failures of calls that were on their way when it opened neither count nor prolong it', () => {
  const circuit = opened();
  expect(circuit.failed(false, 900)).toBe(false);
  expect(circuit.admit(1_000)).toEqual(probe);
});

test('when its time is over one call tries, and the others wait for it', () => {
  const circuit = opened();
  expect(circuit.look(1_000)).toEqual(probe);
  expect(circuit.admit(1_000)).toEqual(probe);
  expect(circuit.admit(1_000)).toMatchObject({ admitted: false, why: 'failing' });
  expect(circuit.failed(true, 1_500)).toBe(true);
  expect(circuit.admit(2_499)).toMatchObject({ forMs: 1 });
  expect(circuit.admit(2_500)).toEqual(probe);
  expect(circuit.began(true)).toBe(true);
  expect(circuit.admit(2_500)).toEqual(admitted);
  expect(circuit.answered()).toBe(false);
});

test('one that began and was cut is open again at once; one that is answered begins anew', () => {
  for (const cut of [true, false]) {
    const circuit = opened();
    circuit.admit(1_000);
    circuit.began(true);
    if (!cut) circuit.answered();
    expect(circuit.failed(true, 1_100)).toBe(cut);
  }
});

test('an open one tells why it failed the last time, until it is answered; what another opened doesn’t know', () => {
  const circuit = new Circuit(settings);
  const why = (message: string) => ({ tenant: 'default', message, status: 503 });
  for (const message of ['one', 'two', 'three']) circuit.failed(false, 0, why(message));
  expect(circuit.look(0)).toMatchObject({ why: 'failing', last: why('three') });
  circuit.admit(1_000);
  circuit.failed(true, 1_000, why('four'));
  expect(circuit.look(1_000)).toMatchObject({ why: 'failing', last: why('four') });
  circuit.answered();
  circuit.open(1_000, 1_000);
  expect(circuit.look(1_000)).toMatchObject({ why: 'failing', last: null });
});

test('a probe that is left lets the next one try', () => {
  const circuit = opened();
  circuit.admit(1_000);
  circuit.left(true);
  expect(circuit.admit(1_000)).toEqual(probe);
});

test('a cool-down holds back all for as long as the longest that was asked for', () => {
  const circuit = new Circuit(settings);
  circuit.coolDown(500, 0);
  circuit.coolDown(100, 0);
  expect(circuit.admit(100)).toEqual({ admitted: false, forMs: 400, why: 'cooling' });
  expect(circuit.isCooling(499)).toBe(true);
  expect(circuit.admit(500)).toEqual(admitted);
});

test('what others tell opens and closes it; a probe of its own goes on', () => {
  const circuit = new Circuit(settings);
  circuit.open(700, 0);
  expect(circuit.admit(0)).toMatchObject({ admitted: false, forMs: 700 });
  expect(circuit.admit(700)).toEqual(probe);
  circuit.open(700, 700);
  expect(circuit.began(true)).toBe(true);
  circuit.open(700, 700);
  circuit.close();
  expect(circuit.admit(700)).toEqual(admitted);
});
