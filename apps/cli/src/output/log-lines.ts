import { gone } from '../log-items.ts';
import type { LogCall, LogItem } from '../log-items.ts';
import { otherAnswerer } from '../transcript.ts';
import type { Colours } from './colours.ts';
import { timeOfDay } from './event-line.ts';
import { stateText } from './states.ts';
import { plainLine, plainText } from './text.ts';

const indent = ' '.repeat(9);
const textLinesMax = 40;
const errorLinesMax = 8;
const aboutCharactersMax = 200;
/** Maximum length of an output line. A longer line is shown in parts. */
const lineCharactersMax = 8_000;

/**
 * Formats items, and joins pieces of output to lines. An output line is returned when its end or an item of another
 * kind arrives.
 */
export class LogLines {
  readonly #colours: Colours;
  readonly #full: boolean;
  #turns = 0;
  #leftOut = false;
  #answerer: string | null = null;
  #open: { source: string; text: string } | null = null;

  /**
   * @param full true: nothing is left out
   */
  constructor(colours: Colours, full = false) {
    this.#colours = colours;
    this.#full = full;
  }

  get leftOut(): boolean {
    return this.#leftOut;
  }

  /** Returns the lines that are now complete. */
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

  /** Returns the incomplete output line. */
  end(): string[] {
    const rest = this.#open;
    this.#open = null;
    return rest === null ? [] : [this.#output(rest.text)];
  }

  // Shows only the text after the last carriage return, as a terminal would. Progress bars use carriage returns.
  #output = (line: string) => this.#colours.dim(`${indent}| ${plainText(line.split('\r').at(-1) ?? '')}`.trimEnd());

  #linesOf(item: Exclude<LogItem, { kind: 'output' }>): string[] {
    const time = timeOfDay(new Date(item.time));
    const { bold, cyan, dim, red, yellow } = this.#colours;
    switch (item.kind) {
      case 'state':
        return [cyan(plainLine(`${time} ${stateText(item.state)}${item.reason === null ? '' : `: ${item.reason}`}`))];
      case 'message':
        this.#leftOut ||= item.shortened && !item.opening;
        if (item.opening) return this.#turns === 0 ? [] : [yellow(`${time} the conversation begins anew`)];
        return [yellow(`${time} message: ${plainLine(item.text)}`)];
      case 'result': {
        const lines = plainText(item.text).trimEnd().split('\n');
        const shown = this.#full ? (lines[0] ?? '') : resultText(item.tool, lines);
        const text = `${indent}← ${plainLine(item.tool)} ${item.isError ? 'failed' : 'ok'}: ${shown}`;
        const head = item.isError ? red(text) : dim(text);
        const rest = lines.slice(1);
        const below = (more: string[]) => more.map((line) => dim(`${indent}  ${line}`));
        if (this.#full) return [head, ...below(rest)];
        // A command's output was already shown while the command ran.
        if (!item.isError || item.tool === 'run') return [head];
        return [head, ...below(this.#first(rest, errorLinesMax))];
      }
      default: {
        this.#leftOut ||= item.shortened && item.text !== gone;
        const said = plainText(item.text).trim();
        const [line = '', ...rest] = said === '' ? [] : this.#first(said.split('\n'), textLinesMax);
        return [
          `${time} ${bold(`turn ${++this.#turns}`)}${this.#answererText(item)}${line === '' ? '' : ` ${line}`}`,
          ...rest.map((more) => `${indent}${more}`.trimEnd()),
          ...item.calls.map((call) => `${indent}→ ${this.#callText(call)}`),
        ];
      }
    }
  }

  /**
   * If another model than the requested one answered, returns its name in the first turn and after each change of the
   * model.
   */
  #answererText({ model, answeredBy }: LogItem & { kind: 'turn' }): string {
    const other = otherAnswerer(model, answeredBy);
    const isNew = (other ?? model) !== this.#answerer;
    this.#answerer = other ?? model;
    return other === null || !isNew ? '' : this.#colours.dim(` (${plainLine(other)})`);
  }

  #first(lines: readonly string[], count: number): string[] {
    if (this.#full || lines.length <= count) return [...lines];
    this.#leftOut = true;
    return [...lines.slice(0, count), `… ${lines.length - count} more lines`];
  }

  /**
   * Formats a call with its main argument. If the call has no main argument, or `full` is set, formats it with all
   * arguments.
   */
  #callText({ name, arguments: given }: LogCall): string {
    const line = plainLine(`${name} ${this.#full ? given : (namedBy(given) ?? given)}`);
    if (this.#full || line.length <= aboutCharactersMax) return line;
    this.#leftOut = true;
    return `${line.slice(0, aboutCharactersMax - 1).toWellFormed()}…`;
  }
}

/**
 * Returns the result of a call in one line. For a command or a write, this is the first line, since a command's output
 * was already shown. For other tools, it is the number of lines if there are several.
 */
const resultText = (tool: string, lines: readonly string[]): string =>
  lines.length === 1 || tool === 'run' || tool === 'edit' || tool === 'write'
    ? (lines[0] ?? '')
    : `${lines.length} lines`;

const namingFields = ['command', 'path', 'pattern', 'summary'] as const;

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
