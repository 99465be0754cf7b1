/** Log items as lines for a person. */
import type { LogCall, LogItem } from '../log-items.ts';
import type { Colours } from './colours.ts';
import { timeOfDay } from './event-line.ts';
import { plainLine, plainText } from './text.ts';

const indent = ' '.repeat(9);
const textLinesMax = 40;
const errorLinesMax = 8;
const aboutCharactersMax = 200;
/** A line of output that doesn't end is shown in parts of this length. */
const lineCharactersMax = 8_000;

/** Output comes in pieces that end anywhere; its lines are shown whole, as soon as they end or something else is shown. */
export class LogLines {
  readonly #colours: Colours;
  #turns = 0;
  #open: { source: string; text: string } | null = null;

  constructor(colours: Colours) {
    this.#colours = colours;
  }

  /** @returns the lines that are complete now */
  add(item: LogItem): string[] {
    if (item.kind !== 'output') return [...this.end(), ...this.#linesOf(item)];
    const source = `${item.sandboxId} ${item.stream}`;
    const lines = this.#open !== null && this.#open.source !== source ? this.end() : [];
    const parts = `${this.#open?.text ?? ''}${item.text}`.replaceAll('\r\n', '\n').split('\n');
    const rest = parts.pop() ?? '';
    const tooLong = rest.length > lineCharactersMax;
    if (tooLong) parts.push(rest);
    this.#open = tooLong || rest === '' ? null : { source, text: rest };
    return [...lines, ...parts.map((line) => this.#output(line))];
  }

  /** What has come of a line that hasn't ended. */
  end(): string[] {
    const rest = this.#open;
    this.#open = null;
    return rest === null ? [] : [this.#output(rest.text)];
  }

  // What a carriage return would have written over, a progress bar mostly, isn't shown.
  #output = (line: string) => this.#colours.dim(`${indent}| ${plainText(line.split('\r').at(-1) ?? '')}`.trimEnd());

  #linesOf(item: Exclude<LogItem, { kind: 'output' }>): string[] {
    const time = timeOfDay(new Date(item.time));
    const { bold, cyan, dim, red, yellow } = this.#colours;
    switch (item.kind) {
      case 'state':
        return [cyan(plainLine(`${time} ${item.state}${item.reason === null ? '' : `: ${item.reason}`}`))];
      case 'told':
        if (item.opening) return this.#turns === 0 ? [] : [yellow(`${time} the conversation begins anew`)];
        return [yellow(`${time} told: ${plainLine(item.text)}`)];
      case 'result': {
        const lines = plainText(item.text).trimEnd().split('\n');
        const text = `${indent}← ${plainLine(item.tool)} ${item.isError ? 'failed' : 'ok'}: ${resultText(item.tool, lines)}`;
        // What a command printed was shown while it ran.
        if (!item.isError || item.tool === 'run') return [item.isError ? red(text) : dim(text)];
        return [red(text), ...first(lines.slice(1), errorLinesMax).map((line) => dim(`${indent}  ${line}`))];
      }
      default: {
        const said = plainText(item.text).trim();
        const [line = '', ...rest] = said === '' ? [] : first(said.split('\n'), textLinesMax);
        return [
          `${time} ${bold(`turn ${++this.#turns}`)}${line === '' ? '' : ` ${line}`}`,
          ...rest.map((more) => `${indent}${more}`.trimEnd()),
          ...item.calls.map((call) => `${indent}→ ${callText(call)}`),
        ];
      }
    }
  }
}

/** A command's output was shown while it came; of files and lists it is said how much they are. */
const resultText = (tool: string, lines: readonly string[]): string =>
  lines.length === 1 || tool === 'run' || tool === 'edit' || tool === 'write'
    ? (lines[0] ?? '')
    : `${lines.length} lines`;

const first = (lines: readonly string[], count: number): string[] =>
  lines.length <= count ? [...lines] : [...lines.slice(0, count), `… ${lines.length - count} more lines`];

const namingFields = ['command', 'path', 'pattern', 'summary'] as const;

/** A call by what it names, else by its arguments as they are. */
function callText({ name, arguments: given }: LogCall): string {
  const line = plainLine(`${name} ${namedBy(given) ?? given}`);
  return line.length <= aboutCharactersMax ? line : `${line.slice(0, aboutCharactersMax - 1).toWellFormed()}…`;
}

function namedBy(given: string): string | null {
  try {
    const value: unknown = JSON.parse(given);
    if (typeof value !== 'object' || value === null) return null;
    for (const field of namingFields) {
      const named = (value as Record<string, unknown>)[field];
      if (typeof named === 'string') return named;
    }
    return null;
  } catch {
    return null;
  }
}
