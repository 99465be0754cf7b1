import { CoppiceError, type CommitMessage } from '@coppice/contracts';

/** Tools that check conventional commits reject longer headers. */
const headerCharactersMax = 100;
const bodyCharactersMax = 20_000;

export type Identity = { name: string; email: string };
export const coppiceIdentity: Identity = { name: 'Coppice', email: 'coppice@coppice.invalid' };

// oxlint-disable-next-line no-control-regex
const controls = /[\0-\x1f\x7f-\x9f\u2028\u2029]+/g;
/** Puts a task's text on one line, since a second line could pose as a trailer. */
const oneLine = (text: string): string => text.replace(controls, ' ').replace(/ +/g, ' ').trim();

export type Trailers = { taskId: string; runId: string; effectId: string };

/** Formats a conventional commit message. The task's text can't imitate the trailers. */
export function formatMessage(message: CommitMessage, trailers: Trailers): string {
  const prefix = `${oneLine(message.type)}${message.scope === null ? '' : `(${oneLine(message.scope)})`}: `;
  const description = oneLine(message.description);
  const room = Math.max(20, headerCharactersMax - Array.from(prefix).length);
  const whole = Array.from(description).length <= room;
  const header =
    prefix +
    (whole
      ? description
      : `${Array.from(description)
          .slice(0, room - 1)
          .join('')
          .trimEnd()}…`);
  const paragraphs = [header];
  if (!whole) paragraphs.push(description);
  const body = message.body === null ? '' : bodyText(message.body);
  if (body !== '') paragraphs.push(body);
  const lines = [
    `Coppice-Task: ${trailers.taskId}`,
    `Coppice-Run: ${trailers.runId}`,
    `Coppice-Effect: ${trailers.effectId}`,
  ];
  if (message.coAuthor !== null) lines.push(`Co-Authored-By: ${oneLine(message.coAuthor)}`);
  paragraphs.push(lines.join('\n'));
  return `${paragraphs.join('\n\n')}\n`;
}

function bodyText(body: string): string {
  return (
    body
      .slice(0, bodyCharactersMax)
      .split(/\r\n|[\n\r\u2028\u2029]/)
      .map((line) => line.replace(controls, ' ').trimEnd())
      // Git reads trailers only from the last paragraph. The quoting is for tools that search every line for trailers.
      .map((line) =>
        /^\s*(coppice-[a-z-]+|co-authored-by|signed-off-by)\s*:/i.test(line) ? `> ${line.trimStart()}` : line,
      )
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim()
  );
}

/** Converts a date to git's raw format, in UTC. Throws `invalid-request`. */
export function gitDate(date: string): string {
  const time = Date.parse(date);
  if (Number.isNaN(time))
    throw new CoppiceError('invalid-request', `date: expected RFC 3339, got ${JSON.stringify(date.slice(0, 60))}`);
  return `${Math.floor(time / 1_000)} +0000`;
}
