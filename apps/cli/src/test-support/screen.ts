/**
 * A terminal emulator for the output of `coppice`. Supports text, line feed, carriage return, cursor up, erase below
 * and colours.
 */
export class Screen {
  columns: number;
  rows: number;
  /** All rows written so far. The last `rows` of them are visible. */
  lines: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  readonly size = () => ({ columns: this.columns, rows: this.rows });

  readonly write = (text: string): void => {
    for (const [token, sequence] of text.matchAll(/\u001B\[([0-9;]*[A-Za-z])|[\s\S]/gu)) {
      if (sequence !== undefined) this.#control(sequence);
      else if (token === '\n') this.#lineFeed();
      else if (token === '\r') this.#column = 0;
      else this.#put(token);
    }
  };

  /** Leaves out empty rows at the end. */
  get visible(): string[] {
    return this.lines.slice(-this.rows).join('\n').trimEnd().split('\n');
  }

  /** Changes the width. As in real terminals, longer rows wrap. */
  resize(columns: number): void {
    const wrapped = this.lines.flatMap((line) => line.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? ['']);
    this.lines = wrapped;
    this.columns = columns;
    this.#row = wrapped.length - 1;
    this.#column = 0;
  }

  #control(sequence: string): void {
    const count = Number(sequence.slice(0, -1) || 1);
    if (sequence.endsWith('A')) this.#row = Math.max(this.lines.length - this.rows, 0, this.#row - count);
    else if (sequence.endsWith('J'))
      this.lines = [...this.lines.slice(0, this.#row), this.#line().slice(0, this.#column)];
    else if (!sequence.endsWith('m')) throw new Error(`unknown sequence ${sequence}`);
  }

  #line = () => this.lines[this.#row] ?? '';

  #put(character: string): void {
    if (this.#column === this.columns) this.#lineFeed();
    const line = this.#line();
    this.lines[this.#row] = line.slice(0, this.#column) + character + line.slice(this.#column + 1);
    this.#column++;
  }

  #lineFeed(): void {
    this.#row++;
    this.#column = 0;
    this.lines[this.#row] ??= '';
  }
}
