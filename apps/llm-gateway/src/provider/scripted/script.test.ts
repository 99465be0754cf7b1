import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { cueFor, parseScript } from './script.ts';

const script = parseScript(
  `
rules:
  - name: changelog
    when: { contains: [changelog, brief] }
    turns: [{ text: first }, { text: second, finishReason: length }]
  - when: { matches: "^write a (poem|song)$" }
    turns: [{ text: la la }]
default:
  turns: [{ text: ok }]
`,
  'plan.yaml',
);

test.each([
  ['a brief changelog please', 0, 'changelog', 'first'],
  ['a brief changelog please', 1, 'changelog', 'second'],
  ['a changelog please', 0, 'default', 'ok'],
  ['first line\nwrite a song\nlast line', 0, 'rules[1]', 'la la'],
  ['write a songbook', 0, 'default', 'ok'],
])('%j with %i answers so far plays %s', (prompt, answers, rule, text) => {
  expect(cueFor(script, prompt, answers)).toMatchObject({ rule, position: answers, turn: { text } });
});

test('a request for which the script has no answer gets an error', () => {
  expect(() => cueFor(script, 'brief changelog', 2)).toThrow(
    "the script's changelog has 2 turns; number 3 was requested",
  );
  const narrow = parseScript('rules: [{ when: { contains: x }, turns: [{ text: y }] }]', 'narrow.yaml');
  expect(() => cueFor(narrow, 'z', 0)).toThrow('no rule of the script matches this prompt');
});

test('defaults are filled in', () => {
  expect(cueFor(script, 'anything', 0).turn).toEqual({ text: 'ok', latencyMs: 0, usage: {}, finishReason: 'stop' });
});

test('a turn with tool calls needs no text, and its finish reason is tool-calls', () => {
  const calls = parseScript("default: { turns: [{ toolCalls: [{ name: run, arguments: '{' }] }] }", 'calls.yaml');
  expect(cueFor(calls, 'x', 0).turn).toMatchObject({
    toolCalls: [{ name: 'run', arguments: '{' }],
    finishReason: 'tool-calls',
  });
});

test.each([
  ['rules:\n  - turns: [{ text: a }\n', 'plan.yaml:3: not YAML'],
  [
    'default:\n  turns:\n    - text: a\n      latencyMs: soon\n',
    'plan.yaml:4: default.turns[0].latencyMs: expected number, received a text',
  ],
  [
    'rules:\n  - turns:\n      - txt: a\n',
    'plan.yaml:3: rules[0].turns[0]: expected only fields of docs/scripted-model.md, received an unknown one',
  ],
  [
    'default:\n  turns: [{ text: a, textFile: b }]\n',
    'plan.yaml:2: default.turns[0]: expected one of text and textFile, not both',
  ],
  [
    'default:\n  turns: [{ fault: { kind: error, times: 1 } }]\n',
    'expected text or textFile or toolCalls (only a fault that always comes needs none)',
  ],
  ['default:\n  turns:\n    - fault: { kind: explode }\n', 'plan.yaml:3: default.turns[0].fault.kind'],
  [
    'rules:\n  - when: { matches: "(" }\n    turns: [{ text: a }]\n',
    'plan.yaml:2: rules[0].when.matches: expected a regular expression, received a text',
  ],
  ['default: { turns: [{ toolCalls: [] }] }', 'default.turns[0].toolCalls'],
  ['default: { turns: [{ toolCalls: [{ arguments: {} }] }] }', 'default.turns[0].toolCalls[0].name'],
  ['{}', 'expected rules, or a default'],
  ['just text', 'plan.yaml:1: the whole: expected object'],
  ['', 'plan.yaml:1: the whole: expected object'],
])('the error for %j states the line and the field', (text, complaint) => {
  const parse = () => parseScript(text, 'plan.yaml');
  expect(parse).toThrow(CoppiceError);
  expect(parse).toThrow(complaint);
});

test.each([
  'root:$6$secret:19000:0:99999:7:::\ndaemon:*:19000\n',
  'secret: value-secret\n',
  'KEY=secret\nOTHER=secret\n',
  '- secret\n',
  'a: *secret\n',
  'secret: 1\nsecret: 2\n',
  'a: [secret\n',
  'rules: secret\n',
  'rules: [{ turns: [{ secret: secret }] }]\n',
  'default: { turns: [{ fault: { kind: secret } }] }\n',
  '%secret\n---\n!secret a\n',
])('the error for a file that is not a script does not contain its content: %j', (text) => {
  let thrown: unknown;
  try {
    parseScript(text, 'a');
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(CoppiceError);
  const { message, details } = thrown as CoppiceError;
  expect(JSON.stringify({ message, details })).not.toContain('secret');
});

test('an expression that would run forever is stopped', () => {
  const slow = parseScript('rules: [{ when: { matches: "(a+)+$" }, turns: [{ text: x }] }]', 'slow.yaml');
  expect(cueFor(slow, 'aaa', 0)).toMatchObject({ rule: 'rules[0]' });
  expect(() => cueFor(slow, `${'a'.repeat(60)}!`, 0)).toThrow('regular expressions take more than');
});
