/** An answer in a wire format, split into parts that can be sent or withheld one by one. */
import { CoppiceError } from '@coppice/contracts';
import type { AnswerAbout, AnswerWriter, Frame, Question, TranslatedDelta } from '../ingress/http/endpoint.ts';
import { FrameEncoder, contentTypes } from '../ingress/http/framing.ts';

export type AnswerScript = {
  contentType: string;
  /** Sent before any output. */
  preamble: string;
  /** The output. */
  pieces: readonly string[];
  /** Completes the answer. */
  ending: string;
  /** Replaces the rest of the answer: an error event of the wire format. */
  overloaded: string;
  /** Replaces the rest of the answer: invalid JSON. */
  malformed: string;
  /** Output and ending, with this many extra characters in the first event. */
  huge(characters: number): readonly string[];
};

export const answerText = 'The upstream answers, in some pieces.';
export const answerUsage = { inputTokens: 12, outputTokens: 9 };

const overloaded = new CoppiceError('provider-failed', 'Overloaded', { details: { status: 529 }, retryable: true });

export const scriptOf = (question: Question, about: AnswerAbout): AnswerScript =>
  question.stream ? streamScript(question, about) : wholeScript(question, about);

function streamScript(question: Question, about: AnswerAbout): AnswerScript {
  const writer = question.writer(about);
  const encoder = new FrameEncoder(question.framing);
  // Wire formats that report the input count at the start do so here, too.
  writer.delta({ type: 'usage', usage: { inputTokens: answerUsage.inputTokens } });
  const [first = [], ...others] = outputDeltas().map((delta) => writer.delta(delta));
  // The opening frames come together with the first output, which is the last frame.
  const opening = first.slice(0, -1);
  // The opening frames come first, then a keep-alive, like Anthropic's `ping`.
  const preamble = `${encoder.encode(opening)}${writer.keepAlive()}`;
  const pieces = [first.slice(-1), ...others].map((frames) => encoder.encode(frames));
  const ending = `${encoder.encode(endOf(writer))}${encoder.close()}`;
  return {
    contentType: contentTypes[question.framing],
    preamble,
    pieces,
    ending,
    overloaded: encodedBy(question, errorOf(question, about)),
    malformed: encodedBy(question, [{ name: first.at(-1)?.name ?? null, data: '{"choices": [{"delta' }]),
    huge: (characters) => [encodedBy(question, padded(first.at(-1), characters)), ...pieces.slice(1), ending],
  };
}

/** The error frames only: the preamble already holds the opening frames. */
const errorOf = (question: Question, about: AnswerAbout): Frame[] =>
  question
    .writer(about)
    .fail(overloaded)
    .filter(({ name }) => name !== 'response.created' && name !== 'response.in_progress');

const encodedBy = ({ framing }: Question, frames: readonly Frame[]): string =>
  new FrameEncoder(framing === 'json-array' ? 'json-lines' : framing).encode(frames);

/** Adds an unknown field, which clients must tolerate. */
function padded(frame: Frame | undefined, characters: number): Frame[] {
  const fields = JSON.parse(frame?.data ?? '{}') as object;
  return [{ name: frame?.name ?? null, data: JSON.stringify({ ...fields, padding: 'x'.repeat(characters) }) }];
}

/** The first half counts as output, although no client can parse it. */
function wholeScript(question: Question, about: AnswerAbout): AnswerScript {
  const writer = question.writer(about);
  for (const delta of outputDeltas()) writer.delta(delta);
  endOf(writer);
  const text = JSON.stringify(writer.whole());
  const middle = Math.floor(text.length / 2);
  const error = errorOf({ ...question, framing: 'json-lines' }, about).at(-1)?.data ?? '{}';
  return {
    contentType: 'application/json',
    preamble: '',
    pieces: [text.slice(0, middle)],
    ending: text.slice(middle),
    overloaded: error,
    malformed: '{"choices": [{"message',
    huge: (characters) => [JSON.stringify({ ...writer.whole(), padding: 'x'.repeat(characters) })],
  };
}

const outputDeltas = (): TranslatedDelta[] =>
  (answerText.match(/\S+\s*/g) ?? []).map((text) => ({ type: 'text-delta', text }));

function endOf(writer: AnswerWriter): Frame[] {
  const last: TranslatedDelta[] = [
    { type: 'usage', usage: answerUsage },
    { type: 'response-end', finishReason: 'stop' },
  ];
  return [...last.flatMap((delta) => writer.delta(delta)), ...writer.end()];
}
