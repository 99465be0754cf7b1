/**
 * The arguments of a tool call, which arrive in pieces. Scans each character once, since repeated scans would let a
 * hostile server make the work quadratic.
 */
export class ArgumentsText {
  #text = '';
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  #state: 'open' | 'closed' | 'beyond' = 'open';
  /** True if the text is a JSON object; null until the first check. */
  #isJson: boolean | null = null;

  add(piece: string): void {
    this.#text += piece;
    for (let at = 0; at < piece.length && this.#state !== 'beyond'; at++) this.#read(piece.charAt(at));
  }

  get isBlank(): boolean {
    return this.#text.trim() === '';
  }

  /** True if the arguments are a complete JSON object. */
  get areWhole(): boolean {
    if (this.#state !== 'closed') return false;
    return (this.#isJson ??= isObject(this.#text));
  }

  #read(character: string): void {
    if (this.#state === 'closed') {
      if (!blanks.includes(character)) this.#state = 'beyond';
    } else if (this.#isEscaped) this.#isEscaped = false;
    else if (character === '"') this.#inString = !this.#inString;
    else if (this.#inString) this.#isEscaped = character === '\\';
    else if (character === '{' || character === '[') this.#depth++;
    else if ((character === '}' || character === ']') && --this.#depth <= 0) this.#state = 'closed';
  }
}

/** White space that JSON allows between values. */
const blanks = ' \t\r\n';

function isObject(text: string): boolean {
  if (!text.trimEnd().endsWith('}')) return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
