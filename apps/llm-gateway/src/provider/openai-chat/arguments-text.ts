/**
 * The arguments of a call as they come. Whether they are whole is told without reading anew what came before: of a hostile server's call each piece would else
 * cost as much as all that came.
 */
export class ArgumentsText {
  #text = '';
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  #state: 'open' | 'closed' | 'beyond' = 'open';
  /** Whether what was closed is JSON; null until somebody asks. */
  #isJson: boolean | null = null;

  add(piece: string): void {
    this.#text += piece;
    for (let at = 0; at < piece.length && this.#state !== 'beyond'; at++) this.#read(piece.charAt(at));
  }

  get isBlank(): boolean {
    return this.#text.trim() === '';
  }

  /** Whether they are a JSON object, and not the beginning of one. */
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

/** What JSON takes between its values. */
const blanks = ' \t\r\n';

function isObject(text: string): boolean {
  if (!text.trimEnd().endsWith('}')) return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
