import { expect, test } from 'vitest';
import { CallIds } from './call-ids.ts';

test('a result belongs to the first call of its name, or of its id, that has no result yet', () => {
  const ids = new CallIds();
  const [one, two, three, four] = [
    ids.call('read', null),
    ids.call('list', 'own'),
    ids.call('read', ''),
    ids.call('read', null),
  ];
  expect([one, two, three, four]).toEqual(['000000001', 'own', '000000002', '000000003']);
  expect(ids.result('read', undefined)).toEqual({ id: one, name: 'read' });
  expect(ids.result('', 'own')).toEqual({ id: two, name: 'list' });
  expect(ids.result('other', three)).toEqual({ id: three, name: 'read' });
  expect(ids.result('', null)).toEqual({ id: four, name: 'read' });
});

test('a result without a call gets an id, too', () => {
  const ids = new CallIds();
  ids.call('read', 'a');
  expect(ids.result('list', null)).toEqual({ id: '000000001', name: 'list' });
  expect(ids.result('list', 'b')).toEqual({ id: 'b', name: 'list' });
  expect(ids.result('read', 'a')).toEqual({ id: 'a', name: 'read' });
  expect(ids.result('read', 'a')).toEqual({ id: 'a', name: 'read' });
  expect(ids.result('read', null)).toEqual({ id: '000000002', name: 'read' });
});

test('many calls are not scanned again for each result', () => {
  const ids = new CallIds();
  const count = 250_000;
  for (let made = 0; made < count; made++) ids.call('read', null);
  for (let made = 0; made < count; made++) ids.result('other', null);
  for (let made = 0; made < count; made++) ids.result('', null);
  expect(ids.result('read', null)).toEqual({ id: '000500001', name: 'read' });
});
