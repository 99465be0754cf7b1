/** An encoded answer, in parts that can be sent one by one. */
import { answerPieces } from './answer.ts';
import type { AnswerRequest, Format, Framing, StreamEvent } from './format.ts';

export type AnswerScript = {
  contentType: string;
  /** Text before any output. Empty if the wire format has none. */
  opening: string;
  pieces: readonly string[];
  /** Text that completes the answer. */
  ending: string;
  /** Overload error that replaces the rest of the answer. */
  overloaded: string;
  /** Invalid JSON that replaces the rest of the answer. */
  malformed: string;
  /** Returns the output and the ending. The first event has this number of additional characters. */
  huge(characters: number): readonly string[];
};

export const scriptOf = (format: Format, request: AnswerRequest): AnswerScript =>
  request.stream ? streamScript(format, request) : wholeScript(format, request);

const contentTypes: Readonly<Record<Framing, string>> = {
  'server-sent-events': 'text/event-stream; charset=utf-8',
  'json-lines': 'application/x-ndjson',
  'json-array': 'application/json; charset=UTF-8',
};

const invalidJson = '{"choices": [{"delta';

function streamScript(format: Format, request: AnswerRequest): AnswerScript {
  const { framing, opening, piece, ending, overloaded } = format.stream(request);
  const encode = (events: readonly StreamEvent[]) => events.map((event) => encoded(framing, event)).join('');
  // In an array, the ending always has further events, so a separator follows each piece.
  const [begin, separator, close] = framing === 'json-array' ? ['[', ',\r\n', ']'] : ['', '', ''];
  const events = answerPieces.map(piece);
  const pieces = events.map((event) => `${encode([event])}${separator}`);
  const [first = { data: {} }] = events;
  const end = `${encode(ending)}${close}`;
  return {
    contentType: contentTypes[framing],
    opening: `${begin}${encode(opening)}`,
    pieces,
    ending: end,
    overloaded: `${encode(overloaded)}${close}`,
    malformed: encode([{ ...first, data: invalidJson }]),
    huge: (characters) => {
      const data = { ...(first.data as object), ...paddingOf(characters) };
      return [`${encode([{ ...first, data }])}${separator}`, ...pieces.slice(1), end];
    },
  };
}

function encoded(framing: Framing, { name, data }: StreamEvent): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  if (framing === 'json-array') return text;
  if (framing === 'json-lines') return `${text}\n`;
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`;
}

const paddingOf = (characters: number): object => ({ padding: 'x'.repeat(characters) });

/** The first half of an unstreamed answer counts as output, although no client can parse it. */
function wholeScript(format: Format, request: AnswerRequest): AnswerScript {
  const body = format.whole(request);
  const text = JSON.stringify(body);
  const middle = Math.floor(text.length / 2);
  return {
    contentType: 'application/json; charset=utf-8',
    opening: '',
    pieces: [text.slice(0, middle)],
    ending: text.slice(middle),
    overloaded: JSON.stringify(format.overloaded(request)),
    malformed: invalidJson,
    huge: (characters) => [JSON.stringify({ ...body, ...paddingOf(characters) })],
  };
}
