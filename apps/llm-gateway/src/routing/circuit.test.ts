import { expect, test } from 'vitest';
import { Circuit } from './circuit.ts';

const settings = { failuresMax: 3, openMs: 1_000 };
const admitted = { admitted: true, probe: false };
const probe = { admitted: true, probe: true };
const [one, other, third] = ['one', 'other', 'third'];
const call = (tenant: string = one) => ({ tenant });

/** Returns a circuit that opened at time 0, because calls of these tenants failed. */
function opened(tenants: readonly string[] = [one, one, one]): Circuit {
  const circuit = new Circuit(settings);
  for (const tenant of tenants) circuit.failed(false, 0, call(tenant));
  return circuit;
}

test('it opens after failuresMax consecutive failures, and an answer restarts the count', () => {
  const circuit = new Circuit(settings);
  expect([circuit.failed(false, 0, call()), circuit.failed(false, 0, call())]).toEqual([null, null]);
  expect(circuit.answered()).toBe(false);
  expect([circuit.failed(false, 0, call()), circuit.failed(false, 0, call())]).toEqual([null, null]);
  expect(circuit.admit(0, one)).toEqual(admitted);
  expect(circuit.failed(false, 0, call())).toBe('for the tenant');
  expect(circuit.admit(400, one)).toEqual({ admitted: false, forMs: 600, why: 'failing', last: null });
});

test('failures of calls that were in flight when it opened neither count nor extend the time', () => {
  const circuit = opened();
  expect(circuit.failed(false, 900, call())).toBeNull();
  expect(circuit.admit(1_000, one)).toEqual(probe);
});

test('after openMs one call probes, and the others wait for it', () => {
  const circuit = opened();
  expect(circuit.look(1_000, one)).toEqual(probe);
  expect(circuit.admit(1_000, one)).toEqual(probe);
  expect(circuit.admit(1_000, one)).toMatchObject({ admitted: false, why: 'failing' });
  expect(circuit.failed(true, 1_500, call())).toBe('for the tenant');
  expect(circuit.admit(2_499, one)).toMatchObject({ forMs: 1 });
  expect(circuit.admit(2_500, one)).toEqual(probe);
  expect(circuit.began(true, one)).toBe(true);
  expect(circuit.admit(2_500, one)).toEqual(admitted);
  expect(circuit.answered()).toBe(false);
});

test('a probe that is cut after its first output opens it again at once, and an answered probe restarts the count', () => {
  for (const cut of [true, false]) {
    const circuit = opened();
    circuit.admit(1_000, one);
    circuit.began(true, one);
    if (!cut) circuit.answered();
    expect(circuit.failed(true, 1_100, call())).toBe(cut ? 'for the tenant' : null);
  }
});

test('a call that was counted before it opened counts again as a probe', () => {
  const circuit = new Circuit(settings);
  const again = call();
  for (const each of [call(other), call(third), again]) circuit.failed(false, 0, each);
  circuit.admit(1_000, one);
  circuit.began(true, one);
  expect(circuit.failed(true, 1_100, again)).toBe('for the tenant');
});

test('an open breaker reports its last failure until an answer; one that another instance opened has none', () => {
  const circuit = new Circuit(settings);
  const why = (message: string) => ({ tenant: 'default', message, status: 503 });
  for (const message of ['one', 'two', 'three']) circuit.failed(false, 0, call(), why(message));
  expect(circuit.look(0, one)).toMatchObject({ why: 'failing', last: why('three') });
  circuit.admit(1_000, one);
  circuit.failed(true, 1_000, call(), why('four'));
  expect(circuit.look(1_000, one)).toMatchObject({ why: 'failing', last: why('four') });
  circuit.answered();
  circuit.open(1_000, 1_000, null);
  expect(circuit.look(1_000, one)).toMatchObject({ why: 'failing', last: null });
});

test('after an abandoned probe the next call probes', () => {
  const circuit = opened();
  circuit.admit(1_000, one);
  circuit.left(true);
  expect(circuit.admit(1_000, one)).toEqual(probe);
});

test('a cool-down rejects all calls for the longest stated wait', () => {
  const circuit = new Circuit(settings);
  circuit.coolDown(500, 0);
  circuit.coolDown(100, 0);
  expect(circuit.admit(100, one)).toEqual({ admitted: false, forMs: 400, why: 'cooling' });
  expect(circuit.isCooling(499)).toBe(true);
  expect(circuit.admit(500, one)).toEqual(admitted);
});

test('messages of other instances open and close it, and its own probe continues', () => {
  const circuit = new Circuit(settings);
  circuit.open(700, 0, null);
  expect(circuit.admit(0, one)).toMatchObject({ admitted: false, forMs: 700 });
  expect(circuit.admit(700, one)).toEqual(probe);
  circuit.open(700, 700, null);
  expect(circuit.began(true, one)).toBe(true);
  circuit.open(700, 700, null);
  circuit.close();
  expect(circuit.admit(700, one)).toEqual(admitted);
});

test('a call counts once, however many attempts it makes', () => {
  const circuit = new Circuit(settings);
  const again = call();
  for (let attempts = 0; attempts < 9; attempts++) expect(circuit.failed(false, 0, again)).toBeNull();
  expect(circuit.failed(false, 0, call())).toBeNull();
  expect(circuit.failed(false, 0, again)).toBeNull();
  circuit.answered();
  expect([again, call(), again].map((each) => circuit.failed(false, 0, each))).toEqual([null, null, null]);
  expect(circuit.failed(false, 0, call())).toBe('for the tenant');
});

test('if all failed calls are of one tenant, only that tenant is shut out', () => {
  const circuit = opened();
  expect(circuit.look(0, one)).toMatchObject({ admitted: false, forMs: 1_000 });
  expect(circuit.admit(0, other)).toEqual(admitted);
  expect([circuit.isOpen(), circuit.isOpenForAll()]).toEqual([true, false]);
  expect(circuit.began(false, other)).toBe(false);
  expect(circuit.answered()).toBe(true);
  expect(circuit.look(0, one)).toEqual(admitted);
});

test.each([
  ['after the tenant that is kept out', [one, one, one], [other, other]],
  ['in turns', [], [one, other, one, other]],
  ['of three', [], [one, other, third]],
])('if two calls of other tenants failed, too, all tenants are shut out: %s', (_how, before, failing) => {
  const circuit = opened(before);
  const outcomes = failing.map((each) => circuit.failed(false, 200, call(each)));
  expect(outcomes).toEqual([...failing.slice(1).map(() => null), 'for all']);
  expect([one, other, third].map((each) => circuit.look(200, each))).toMatchObject(
    [1, 2, 3].map(() => ({ forMs: 1_000 })),
  );
});

test('one failed call of another tenant does not shut out all tenants', () => {
  const circuit = opened();
  expect(circuit.failed(false, 200, call(other))).toBeNull();
  expect([other, third].map((each) => circuit.look(200, each))).toEqual([admitted, admitted]);
});

test('a failed probe shuts out its own tenant, and the failed probe of another tenant shuts out all', () => {
  const circuit = opened([one, other, third]);
  expect(circuit.admit(1_000, one)).toEqual(probe);
  expect(circuit.failed(true, 1_100, call())).toBe('for the tenant');
  expect(circuit.look(1_100, one)).toMatchObject({ admitted: false, forMs: 1_000 });
  expect(circuit.admit(1_100, other)).toEqual(probe);
  expect(circuit.admit(1_100, third)).toMatchObject({ admitted: false });
  expect(circuit.failed(true, 1_200, call(other))).toBe('for all');
  expect(circuit.look(1_200, third)).toMatchObject({ admitted: false, forMs: 1_000 });
});

test('a tenant’s own probe delays no other tenant', () => {
  const circuit = opened();
  expect(circuit.admit(1_000, one)).toEqual(probe);
  expect(circuit.admit(1_000, one)).toMatchObject({ admitted: false });
  expect(circuit.admit(1_000, other)).toEqual(admitted);
});

test('a message about one tenant’s calls opens it for that tenant, and for all if another’s failed here', () => {
  const circuit = new Circuit(settings);
  circuit.open(700, 0, one);
  expect([circuit.look(0, one), circuit.look(0, other)]).toMatchObject([{ forMs: 700 }, admitted]);
  circuit.open(500, 0, other);
  expect([circuit.look(0, one), circuit.look(0, third)]).toMatchObject([{ forMs: 700 }, { forMs: 700 }]);
});
