import type { FaultName } from './faults.ts';
import type { AnswerScript } from './script.ts';

/** The connection on which an answer is sent. Its methods don't throw after the client has disconnected. */
export type Stage = {
  /** Sends status and headers. */
  begin(): void;
  say(text: string | Uint8Array): Promise<void>;
  end(): void;
  /** Breaks the connection after all earlier text was sent. */
  cut(): Promise<void>;
  wait(ms: number): Promise<void>;
  /** Waits until the client disconnects. */
  stall(): Promise<void>;
};

type Performance = (stage: Stage, script: AnswerScript, amount: number) => Promise<void>;

const answer: Performance = async (stage, { opening, pieces, ending }) => {
  stage.begin();
  for (const text of [opening, ...pieces, ending]) await stage.say(text);
  stage.end();
};

/** Sends the opening, then continues with `then`. */
const afterOpening =
  (then: Performance): Performance =>
  async (stage, script, amount) => {
    stage.begin();
    await stage.say(script.opening);
    await then(stage, script, amount);
  };

/** Sends half of the answer, then continues with `then`. */
const half = (then: Performance): Performance =>
  afterOpening(async (stage, script, amount) => {
    for (const piece of script.pieces.slice(0, Math.ceil(script.pieces.length / 2))) await stage.say(piece);
    await then(stage, script, amount);
  });

const saying =
  (textOf: (script: AnswerScript) => string): Performance =>
  async (stage, script) => {
    await stage.say(textOf(script));
    stage.end();
  };

const bytewise: Performance = async (stage, { opening, pieces, ending }) => {
  stage.begin();
  for (const byte of Buffer.from([opening, ...pieces, ending].join(''))) {
    await stage.say(Uint8Array.of(byte));
    await new Promise(setImmediate);
  }
  stage.end();
};

const performances: Readonly<Partial<Record<FaultName, Performance>>> = {
  latency: async (stage, script, ms) => {
    await stage.wait(ms);
    await answer(stage, script, 0);
  },
  paced: async (stage, { opening, pieces, ending }, ms) => {
    stage.begin();
    await stage.say(opening);
    for (const text of [...pieces, ending]) {
      await stage.wait(ms);
      await stage.say(text);
    }
    stage.end();
  },
  'slow-drip': bytewise,
  'no-answer': (stage) => stage.cut(),
  'cut-before-output': afterOpening((stage) => stage.cut()),
  'end-before-output': afterOpening(async (stage) => stage.end()),
  'stall-before-output': afterOpening((stage) => stage.stall()),
  'overloaded-before-output': afterOpening(saying(({ overloaded }) => overloaded)),
  'malformed-before-output': afterOpening(saying(({ malformed }) => malformed)),
  'huge-chunk': afterOpening(async (stage, script, characters) => {
    for (const text of script.huge(characters)) await stage.say(text);
    stage.end();
  }),
  'cut-after-output': half(async (stage, _script, ms) => {
    await stage.wait(ms);
    await stage.cut();
  }),
  'end-after-output': half(async (stage) => stage.end()),
  'stall-after-output': half((stage) => stage.stall()),
  'overloaded-after-output': half(saying(({ overloaded }) => overloaded)),
  'malformed-after-output': half(saying(({ malformed }) => malformed)),
};

export const performanceOf = (fault: FaultName): Performance => performances[fault] ?? answer;
