/** Generates requests from the contract's examples and a seed. Every request must be rejected. */
import fc from 'fast-check';
import type { z } from 'zod';

export type Malformed = {
  what: string;
  method: string;
  data: Uint8Array;
  /** The wrong field. Null if it is unknown. The error may instead name the field's parent or a part of the field. */
  field: string | null;
  /** True if the error must name exactly this field. */
  exact: boolean;
};

export type Sample = { method: string; schema: z.ZodType; payload: unknown };

type Path = (string | number)[];
type Made = Pick<Malformed, 'data' | 'field' | 'exact'>;
/** Returns null if the payload has nothing to change in this way. `pick` returns a number below `count`. */
type Maker = (payload: unknown, pick: (count: number) => number) => Made | null;

const marker = 'MARKED-PLACE';
const wrongValues = [
  7.5,
  -1,
  Number.POSITIVE_INFINITY,
  null,
  true,
  false,
  [],
  {},
  '',
  '\u0000',
  [[]],
  'x'.repeat(300),
  9e15,
];
const wrongBytes = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xe9], [0xf5, 0x80, 0x80, 0x80]];

function places(value: unknown, path: Path = []): { path: Path; value: unknown }[] {
  const here = [{ path, value }];
  if (typeof value !== 'object' || value === null) return here;
  const inner = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [...here, ...inner.flatMap(([key, item]) => places(item, [...path, key]))];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function replaced(value: unknown, [key, ...rest]: Path, by: (old: unknown) => unknown): unknown {
  if (key === undefined) return by(value);
  if (Array.isArray(value))
    return value.map((item, index) => (index === key ? replaced(item, rest, by) : (item as unknown)));
  const object = value as Record<string, unknown>;
  return { ...object, [key]: replaced(object[key], rest, by) };
}

const nameOf = (path: Path): string =>
  path.map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${key}`)).join('');

function changed(payload: unknown, path: Path, by: (old: unknown) => unknown): Made {
  // JSON.stringify can't write an infinite number. It writes a marker instead, which is then replaced by 1e999.
  const value = replaced(payload, path, (old) => by(old) ?? undefined);
  const text =
    JSON.stringify(value, (_key, item: unknown) => (item === Number.POSITIVE_INFINITY ? marker : item)) ?? '';
  return { data: Buffer.from(text.replaceAll(`"${marker}"`, '1e999')), field: nameOf(path), exact: false };
}

function at(payload: unknown, pick: (count: number) => number, which: (value: unknown, path: Path) => boolean) {
  const found = places(payload).filter(({ value, path }) => which(value, path));
  return found.length === 0 ? null : (found[pick(found.length)] as { path: Path; value: unknown });
}

/** Returns JSON in which the value at `path` is a text that ends with these bytes. */
function spliced(payload: unknown, path: Path, bytes: Uint8Array): Made {
  const [before = '', after = ''] = JSON.stringify(replaced(payload, path, () => marker)).split(marker);
  return {
    data: Buffer.concat([Buffer.from(`${before}a`), bytes, Buffer.from(after)]),
    field: nameOf(path),
    exact: true,
  };
}

const isText = (value: unknown): boolean => typeof value === 'string';

const makers: Record<string, { weight: number; make: Maker }> = {
  'a wrong value': {
    weight: 20,
    make: (payload, pick) => {
      const place = at(payload, pick, () => true);
      return place && changed(payload, place.path, () => wrongValues[pick(wrongValues.length)]);
    },
  },
  'a field that is missing': {
    weight: 8,
    make: (payload, pick) => {
      const place = at(payload, pick, (value, path) => path.length > 0 && !isObject(value));
      return place && changed(payload, place.path, () => undefined);
    },
  },
  'an unknown field': {
    weight: 10,
    make: (payload, pick) => {
      const place = at(payload, pick, isObject);
      const name = ['zz', '__proto__x', 'constructor', 'toString', 'é\u2028', 'a.b[0]'][pick(6)] as string;
      return place && changed(payload, place.path, (old) => ({ ...(old as object), [name]: 1 }));
    },
  },
  'a long text': {
    weight: 2,
    make: (payload, pick) => {
      const place = at(payload, pick, isText);
      return place && changed(payload, place.path, () => 'x'.repeat(700_000));
    },
  },
  'too many values': {
    weight: 2,
    make: (payload, pick) => {
      const place = at(payload, pick, () => true);
      const many =
        pick(2) === 0
          ? Array(100_001).fill(0)
          : Object.fromEntries(
              Array(100_001)
                .fill(0)
                .map((_, index) => [index.toString(36), 0]),
            );
      return place && changed(payload, place.path, () => many as unknown);
    },
  },
  'too deep': {
    weight: 6,
    make: (payload, pick) => {
      const place = at(payload, pick, () => true);
      const depth = 129 + pick(20_000);
      const [open, close] = pick(2) === 0 ? ['[', ']'] : ['{"d":', '}'];
      if (place === null) return null;
      const text = JSON.stringify(replaced(payload, place.path, () => marker));
      const deep = `${open.repeat(depth)}0${close.repeat(depth)}`;
      return { data: Buffer.from(text.replace(`"${marker}"`, deep)), field: nameOf(place.path), exact: false };
    },
  },
  'bytes that are not UTF-8': {
    weight: 14,
    make: (payload, pick) => {
      const place = at(payload, pick, isText);
      return place && spliced(payload, place.path, Buffer.from(wrongBytes[pick(wrongBytes.length)] as number[]));
    },
  },
  'another encoding': {
    weight: 3,
    make: (payload, pick) => {
      const text = JSON.stringify(payload);
      const little = Buffer.from(`\ufeff${text}`, 'utf16le');
      return { data: pick(2) === 0 ? little : little.swap16(), field: '', exact: true };
    },
  },
  'half of a character': {
    weight: 10,
    make: (payload, pick) => {
      const place = at(payload, pick, isText);
      const half = ['\\ud83d', '\\uDE00', '\\ude00\\ud83d', '\\uDBFFx'][pick(4)] as string;
      return place && spliced(payload, place.path, Buffer.from(half));
    },
  },
  'a field twice': {
    weight: 15,
    make: (payload, pick) => {
      const place = at(payload, pick, (value) => isObject(value) && Object.keys(value).length > 0);
      if (place === null) return null;
      const names = Object.keys(place.value as object);
      const name = names[pick(names.length)] as string;
      const text = JSON.stringify(replaced(payload, place.path, (old) => ({ [marker]: 0, ...(old as object) })));
      const escaped = `\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}`;
      const again = text.replace(marker, pick(2) === 0 ? name : escaped);
      return { data: Buffer.from(again), field: nameOf([...place.path, name]), exact: true };
    },
  },
  'a syntax error': {
    weight: 20,
    make: (payload, pick) => {
      const text = JSON.stringify(payload, null, pick(2));
      const offset = pick(text.length);
      const junk = ['', '#', ',', '}', ']', '"', "'", '\\', '\n', '/**/', 'NaN', '0', '\u0000', '\u00a0', '{'][
        pick(15)
      ];
      const rest = pick(3) === 0 ? '' : text.slice(offset + pick(2));
      return { data: Buffer.from(`${text.slice(0, offset)}${junk}${rest}`), field: null, exact: false };
    },
  },
  'nothing, or what is no object': {
    weight: 2,
    make: (_payload, pick) => {
      const all = ['', ' ', 'null', '[]', '"x"', '0', 'undefined', '\ufeff', '{}{}', '\u0000'];
      return { data: Buffer.from(all[pick(all.length)] as string), field: '', exact: true };
    },
  },
};

/** Returns true if the data matches the schema. Doesn't use Coppice's own parser. */
function isTaken(data: Uint8Array, schema: z.ZodType): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    return schema.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

const strictKinds = ['half of a character', 'a field twice', 'too deep', 'too many values'];

/** The same seed always gives the same requests. */
export function malformed(samples: Sample[], options: { count: number; seed: number }): Malformed[] {
  const kinds = Object.entries(makers);
  const numbers = fc.infiniteStream(fc.nat({ max: 2 ** 30 }));
  const kind = fc.oneof(...kinds.map(([name, { weight }]) => ({ weight, arbitrary: fc.constant(name) })));
  const arbitrary = fc.record({ kind, sample: fc.constantFrom(...samples), numbers });
  const made: Malformed[] = [];
  for (let seed = options.seed; made.length < options.count; seed++) {
    for (const one of fc.sample(arbitrary, { numRuns: 500, seed })) {
      const { method, schema, payload } = one.sample;
      const pick = (count: number) => (one.numbers.next().value as number) % count;
      const result = makers[one.kind]?.make(payload, pick) ?? null;
      if (result === null) continue;
      if (!strictKinds.includes(one.kind) && isTaken(result.data, schema)) continue;
      made.push({ what: one.kind, method, ...result });
    }
  }
  return made.slice(0, options.count);
}
