import { toolLimits } from '@coppice/contracts';
import type { ModelMessage, ToolCall, ToolResult, TurnOutput } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import {
  afterTools,
  afterToolsLost,
  afterTurn,
  afterTurnLost,
  begin,
  instructionsOf,
  withoutSummary,
} from './decide-next-step.ts';
import { agentLimits } from './limits.ts';
import { newLoop } from './loop-state.ts';
import type { Assignment, LoopState } from './loop-state.ts';

const assignment: Assignment = {
  description: 'Fix the sum',
  prompt: { text: 'sum is wrong' },
  verify: 'npm test',
  turnsMax: 50,
  tokensMax: null,
  contextTokens: 10_000,
};

let turns = 0;
const answer = (parts: Partial<TurnOutput> = {}): TurnOutput => ({
  turnId: `turn-${++turns}`,
  text: { text: '' },
  toolCalls: [],
  finishReason: 'stop',
  usage: { inputTokens: 10, outputTokens: 5, costUsd: 0 },
  responseModel: 'm',
  latencyMs: 1,
  ...parts,
});
const call = (name: string, input: unknown, id = `${name}-1`): ToolCall => ({
  id,
  name,
  arguments: { text: typeof input === 'string' ? input : JSON.stringify(input) },
});
const calls = (...toolCalls: ToolCall[]): TurnOutput => answer({ toolCalls, finishReason: 'tool-calls' });
const result = ({ id, name }: ToolCall, isError = false): ToolResult => ({
  callId: id,
  name,
  content: { text: isError ? 'failed' : 'ok' },
  isError,
  logArtifact: null,
  durationMs: 1,
});
const begun = (changes: Partial<Assignment> = {}): LoopState => begin(newLoop(), [], { ...assignment, ...changes });
const done = (state: LoopState, isError = false, changes: Partial<Assignment> = {}): LoopState => {
  if (state.next.do !== 'call') throw new Error(`not calling but ${JSON.stringify(state.next)}`);
  return afterTools(
    state,
    state.next.calls.map((each) => result(each, isError)),
    { ...assignment, ...changes },
  );
};
const turn = (state: LoopState, output: TurnOutput) => afterTurn(state, output, assignment);
const textOf = (messages: ModelMessage[]): string => JSON.stringify(messages);
const results = (state: LoopState) =>
  state.messages
    .flatMap(({ content }) => content)
    .flatMap((part) => (part.type === 'tool-result' ? [`${part.callId}: ${JSON.stringify(part.content)}`] : []));

const look = (id?: string) => call('read', { path: 'a.ts' }, id);
const finish = (id?: string) => call('finish', { summary: 'Fixed it.' }, id);

test('the model gets its task, its verify command and the repository’s instructions', () => {
  const state = begin(newLoop(), [{ path: 'AGENTS.md', content: { artifact: 'text/1' } }], assignment);
  expect(state.next).toEqual({ do: 'ask', for: 'work' });
  expect(state.messages.map(({ role }) => role)).toEqual(['system', 'user']);
  expect(textOf(state.messages)).toMatch(/Fix the sum.*sum is wrong.*npm test.*AGENTS\.md.*text\/1/s);
});

test('existing instruction files are included, each content once', () => {
  const read = (path: string, text: string, isError = false): ToolResult => ({
    ...result(call('read', {}, path), isError),
    content: { text },
  });
  expect(instructionsOf([read('AGENTS.md', 'AGENTS.md (1):\nx'), read('CLAUDE.md', 'CLAUDE.md (1):\nx')])).toHaveLength(
    1,
  );
  expect(instructionsOf([read('AGENTS.md', 'no such file', true), read('CLAUDE.md', 'y')])).toEqual([
    { path: 'CLAUDE.md', content: { text: 'y' } },
  ]);
});

describe('calls', () => {
  test('run in the sandbox, their results are sent to the model, and the conversation continues', () => {
    const calling = turn(begun(), calls(look('a'), call('run', { command: 'ls' }, 'b')));
    expect(calling.next).toMatchObject({ do: 'call', calls: [{ id: 'a' }, { id: 'b' }], finish: null });
    const asking = done(calling);
    expect(asking.next).toEqual({ do: 'ask', for: 'work' });
    expect(asking.turnId).toBe(`turn-${turns}`);
    expect(asking.messages).toEqual([
      {
        role: 'tool',
        content: [
          { type: 'tool-result', callId: 'a', name: 'read', content: { text: 'ok' }, isError: false },
          { type: 'tool-result', callId: 'b', name: 'run', content: { text: 'ok' }, isError: false },
        ],
      },
    ]);
    expect(asking.steps).toEqual(['read a.ts → ok', 'run ls → ok']);
  });

  test('to the agent’s own tools are answered in their places; invalid ones get the reason', () => {
    const todo = call('todo', { items: [{ text: 'look', done: true }] }, 't');
    const state = done(
      turn(begun(), calls(todo, look('a'), call('finish', '{"summary":', 'f'), call('todo', { items: 1 }, 'u'))),
    );
    expect(results(state)).toEqual([
      't: {"text":"noted"}',
      'a: {"text":"ok"}',
      expect.stringMatching(/^f: .*arguments of finish is not JSON/),
      expect.stringMatching(/^u: .*items: expected array/),
    ]);
    expect(state.todo).toEqual([{ text: 'look', done: true }]);
  });

  test('to `todo` alone need no sandbox', () => {
    expect(turn(begun(), calls(call('todo', { items: [] }))).next).toEqual({ do: 'ask', for: 'work' });
  });

  test('over the first limit are answered but not run; over the second limit the task ends', () => {
    const state = turn(
      begun(),
      calls(...Array.from({ length: toolLimits.callsPerTurnMax + 1 }, (_, at) => look(`c${at}`))),
    );
    expect(state.next.do === 'call' && state.next.calls).toHaveLength(toolLimits.callsPerTurnMax);
    expect(results(done(state)).at(-1)).toMatch(/^c16: .*at most 16 calls/);
    const flood = turn(begun(), calls(...Array.from({ length: 100 }, (_, at) => look(`c${at}`))));
    expect(flood.next).toMatchObject({ do: 'stop', reason: expect.stringMatching(/made 100 calls/) as string });
  });

  test('with too long ids and names end the task; the reason names the limit', () => {
    const perCall = Math.floor(agentLimits.callFramesBytesMax / 8);
    const long = (bytes: number) => calls(...Array.from({ length: 8 }, (_, at) => look(String(at).padEnd(bytes, 'x'))));
    expect(turn(begun(), long(perCall - 32)).next).toMatchObject({ do: 'call' });
    const { next } = turn(begun(), long(perCall));
    expect(next).toMatchObject({
      do: 'stop',
      reason: expect.stringMatching(
        /^the model made 8 calls in one turn, with 328\d\d bytes of ids and names; at most 64 with 32768 bytes are taken$/,
      ) as string,
    });
  });

  test("of any size leave the actor's value small", () => {
    const control = '\u0001'.repeat(30_000);
    let state = turn(
      begun(),
      calls(
        call('write', { path: 'a', content: control }, 'a'),
        call('write', { path: 'b', content: 'x'.repeat(20_000) }, 'b'),
        call('\u0001'.repeat(900), {}, 'c'),
      ),
    );
    expect(JSON.stringify(state).length).toBeLessThan(100_000);
    expect(results(state)[0]).toMatch(/^a: .*not done: .* at most 32768 are taken in one turn/);
    expect(results(state)[1]).toMatch(/^b: .*not done: write, called before it in this turn, was refused/);
    state = turn(
      state,
      answer({
        text: { text: control },
        toolCalls: [
          call('todo', { items: Array.from({ length: 50 }, () => ({ text: '\u0001'.repeat(200), done: false })) }),
        ],
      }),
    );
    expect(results(state)[0]).toMatch(/at most 8192 are kept/);
    expect(JSON.stringify(state).length).toBeLessThan(40_000);
  });

  test('that are too large are rejected with the limit, and no call after them runs', () => {
    const items = Array.from({ length: 50 }, () => ({ text: '\u0001'.repeat(200), done: false }));
    const state = turn(
      begun(),
      calls(look('a'), call('todo', { items }, 'b'), call('write', { path: 'x', content: 'x' }, 'c'), finish('d')),
    );
    expect(state.next).toMatchObject({ do: 'call', calls: [{ id: 'a' }], finish: null });
    expect(results(done(state))).toEqual([
      'a: {"text":"ok"}',
      expect.stringMatching(/^b: .*at most 8192 are kept/),
      expect.stringMatching(/^c: .*not done: todo, called before it/),
      expect.stringMatching(/^d: .*not done: todo, called before it/),
    ]);
  });

  test('are repeated after the loss of their executor if that is safe; the others are reported as unknown', () => {
    const called = turn(
      begun(),
      calls(
        look('a'),
        call('run', { command: 'npm test' }, 'c'),
        call('write', { path: 'x', content: 'x' }, 'd'),
        call('edit', { path: 'x', oldText: 'x', newText: 'y' }, 'e'),
        call('write', { path: 'z', content: 'z' }, 'g'),
        finish('f'),
      ),
    );
    const again = afterToolsLost(called, assignment, true);
    expect(again.next).toMatchObject({ do: 'call', calls: [{ id: 'a' }, { id: 'g' }] });
    expect(results(done(again))).toEqual([
      'a: {"text":"ok"}',
      expect.stringMatching(/^c: .*not known whether this was done/),
      // A repeat of this write would undo the later edit, which may have been done.
      expect.stringMatching(/^d: .*not known whether this was done/),
      expect.stringMatching(/^e: .*not known whether this was done/),
      'g: {"text":"ok"}',
      expect.stringMatching(/^f: .*not ended/),
    ]);
    expect(again.steps.map((step) => step.split(' ')[0])).toEqual(['run', 'write', 'edit']);
  });

  test('that are lost repeatedly, or failed by themselves, are not repeated without end', () => {
    let state = turn(begun(), calls(look('a'), finish('f')));
    expect(done(afterToolsLost(state, assignment, true)).next).toMatchObject({ do: 'finish' });
    for (let lost = 1; lost < agentLimits.toolsLostMax; lost++) state = afterToolsLost(state, assignment, true);
    expect(state.next).toMatchObject({ do: 'call', calls: [{ id: 'a' }] });
    expect(results(afterToolsLost(state, assignment, true))[0]).toMatch(/^a: .*not known whether this was done/);
    const failed = afterToolsLost(turn(begun(), calls(look('a'))), assignment, false);
    expect(results(failed)).toEqual([expect.stringMatching(/^a: .*not known whether this was done/)]);
  });
});

describe('the end', () => {
  test('finish ends the work with its summary', () => {
    expect(turn(begun(), calls(finish())).next).toEqual({ do: 'finish', summary: 'Fixed it.' });
  });

  test("finish waits for the turn's other calls, and is rejected if one of them fails", () => {
    const calling = turn(begun(), calls(finish('f'), call('run', { command: 'npm test' }, 'r')));
    expect(calling.next).toMatchObject({ do: 'call', calls: [{ id: 'r' }] });
    expect(done(calling).next).toEqual({ do: 'finish', summary: 'Fixed it.' });
    const failed = done(calling, true);
    expect(failed.next).toEqual({ do: 'ask', for: 'work' });
    expect(results(failed)).toEqual([expect.stringMatching(/^f: .*not ended/), 'r: {"text":"failed"}']);
    expect(results(done(turn(begun(), calls(finish('f'), finish('g'), look('a'))), false))[1]).toMatch(/^g: .*already/);
  });

  test('answers without a call are followed by two reminders; the next one ends the work', () => {
    let state = begun();
    for (const expected of ['ask', 'ask', 'finish']) {
      state = turn(state, answer({ text: { text: 'All is done.' } }));
      expect(state.next.do).toBe(expected);
    }
    expect(state.next).toEqual({ do: 'finish', summary: 'All is done.' });
  });

  test('a call in between resets the count', () => {
    let state = turn(turn(begun(), answer({ text: { text: 'hm' } })), answer({ text: { text: 'hm' } }));
    state = done(turn(state, calls(look())));
    expect(turn(state, answer({ text: { text: 'hm' } })).next.do).toBe('ask');
  });

  test('empty and cut-off answers end as failures', () => {
    const three = (output: () => TurnOutput) => turn(turn(turn(begun(), output()), output()), output()).next;
    expect(three(() => answer())).toEqual({
      do: 'stop',
      reason: 'the model gave 3 answers in a row without calling a tool, the last one empty',
    });
    expect(three(() => answer({ text: { text: 'I' }, finishReason: 'length' }))).toMatchObject({
      do: 'stop',
      reason: expect.stringMatching(/length limit/) as string,
    });
    expect(turn(begun(), answer({ text: { text: 'No.\n…' }, finishReason: 'refusal' })).next).toEqual({
      do: 'stop',
      reason: 'the model refused: No.',
    });
  });
});

describe('limits', () => {
  test('on turns: the model is warned, then the task ends', () => {
    const few = { turnsMax: 4 };
    let state = begun(few);
    const said: boolean[] = [];
    for (let at = 0; state.next.do === 'ask'; at++) {
      state = done(
        afterTurn(state, calls(call('run', { command: `echo ${at}` })), { ...assignment, ...few }),
        false,
        few,
      );
      said.push(textOf(state.messages).includes('3 turns are left'));
    }
    expect(said).toEqual([true, false, false, false]);
    expect(state.next).toEqual({ do: 'stop', reason: 'the agent took 4 turns, the most it may, without finishing' });
  });

  test('on tokens', () => {
    const few = { tokensMax: 20 };
    let state = done(afterTurn(begun(few), calls(look()), { ...assignment, ...few }), false, few);
    state = done(afterTurn(state, calls(look()), { ...assignment, ...few }), false, few);
    expect(state.next).toEqual({ do: 'stop', reason: 'the agent used 30 tokens; its limit is 20' });
  });

  test('on consecutive turns whose outcome is unknown', () => {
    let lost = begun();
    const effects = Array.from({ length: agentLimits.turnsLostMax - 1 }, (_, index) => `effect_${index}`);
    for (const effectId of effects) lost = afterTurnLost(lost, effectId);
    expect(lost).toMatchObject({ next: { do: 'ask' }, lostTurns: effects });
    const answered = turn(lost, answer());
    expect(answered.lostTurns).toEqual([]);
    expect(afterTurnLost(turn(answered, answer()), 'another')).toMatchObject({
      next: { do: 'ask' },
      lostTurns: ['another'],
    });
    // A new conversation sends a different request, so an answer to an earlier request doesn't fit.
    expect(withoutSummary({ ...lost, turnId: 'some' }, assignment).lostTurns).toEqual([]);
    expect(afterTurnLost(lost, 'last').next).toMatchObject({
      do: 'stop',
      reason: expect.stringMatching(/6 model turns in a row/) as string,
    });
  });
});

describe('repetition', () => {
  const circle = (...commands: string[]) => {
    let state = begun();
    const warnedAt: number[] = [];
    for (let at = 0; state.next.do === 'ask' && at < 30; at++) {
      state = turn(state, calls(call('run', { command: commands[at % commands.length] })));
      if (state.next.do === 'call') state = done(state, true);
      if (textOf(state.messages).includes('in a row')) warnedAt.push(at + 1);
    }
    return { next: state.next, turns: state.turns, warnedAt };
  };

  test('the third occurrence of a call causes a warning, the fifth ends the task', () => {
    expect(circle('npm test')).toEqual({
      next: { do: 'stop', reason: 'the agent made the same call 5 times in a row: run npm test' },
      turns: 5,
      warnedAt: [3],
    });
  });

  test('groups of two or three calls count as well', () => {
    expect(circle('a', 'b')).toMatchObject({ turns: 10, warnedAt: [6] });
    expect(circle('a', 'b', 'c')).toMatchObject({ turns: 15, warnedAt: [9] });
  });

  test("different calls don't count", () => {
    const commands = Array.from({ length: 30 }, (_, at) => `step ${Math.floor(at / 2)}${at % 2 === 0 ? '' : at}`);
    expect(circle(...commands)).toMatchObject({ turns: 30, warnedAt: [] });
  });
});

describe('compaction', () => {
  const full = { usage: { inputTokens: 9_000, outputTokens: 10, costUsd: 0 } };
  const withTodo = call('todo', { items: [{ text: 'check', done: false }] }, 't');

  test('near the limit the model writes a summary, and a new conversation begins with task, summary, list and last steps', () => {
    let state = done(turn(begun(), { ...calls(look('a'), withTodo), ...full }));
    expect(state.next).toEqual({ do: 'ask', for: 'summary' });
    expect(results(state)).toHaveLength(2);
    state = turn(state, answer({ text: { text: 'The sum starts at 1.' } }));
    expect(state).toMatchObject({ next: { do: 'ask', for: 'work' }, turnId: null });
    expect(textOf(state.messages)).toMatch(/sum is wrong.*The sum starts at 1\..*\[ \] check.*read a\.ts → ok/s);
    expect(turn(state, calls(look())).next.do).toBe('call');
  });

  test('large results count before they are sent', () => {
    const calling = turn(begun(), calls(look('a')));
    const state = afterTools(calling, [{ ...result(look('a')), content: { text: 'x'.repeat(20_000) } }], assignment);
    expect(state.next).toEqual({ do: 'ask', for: 'summary' });
  });

  test('a missing summary is replaced by the facts that are known', () => {
    const nearLimit = done(turn(begun(), { ...calls(look('a')), ...full }));
    const long = '\u0001'.repeat(agentLimits.summaryBytesMax);
    for (const state of [
      withoutSummary(nearLimit, assignment),
      turn(nearLimit, answer()),
      turn(nearLimit, answer({ text: { text: long } })),
    ]) {
      expect(state).toMatchObject({ next: { do: 'ask', for: 'work' }, turnId: null });
      expect(textOf(state.messages)).toMatch(/There is no summary.*read a\.ts → ok/s);
    }
  });

  test('a task that doesn’t fit after several summaries ends', () => {
    let state = begun();
    for (let at = 0; state.next.do !== 'stop' && at < 20; at++) {
      if (state.next.do === 'ask' && state.next.for === 'summary') state = turn(state, answer({ text: { text: 's' } }));
      else state = done(turn(state, { ...calls(call('run', { command: `${at}` })), ...full }));
    }
    expect(state.next).toMatchObject({
      do: 'stop',
      reason: expect.stringMatching(/does not fit the model's context of 10000 tokens/) as string,
    });
    expect(withoutSummary(begun(), assignment).next).toMatchObject({
      do: 'stop',
      reason: expect.stringMatching(/task alone/) as string,
    });
  });
});
