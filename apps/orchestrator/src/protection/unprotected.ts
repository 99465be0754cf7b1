import type { UnprotectedPart } from '@coppice/contracts';

const partCharactersMax = 120;
const partsMax = 10;

/** Collects the parts of a command that no protected file defines. Duplicates are removed. */
export class Unprotected {
  readonly #parts = new Map<string, UnprotectedPart>();

  add(text: string, why: string): void {
    const part = shortened(text, partCharactersMax);
    this.#parts.set(`${part}\0${why}`, { part, why });
  }

  list(): UnprotectedPart[] {
    return [...this.#parts.values()].slice(0, partsMax);
  }
}

/** Formats a text as one line of limited length. */
export function shortened(text: string, charactersMax: number): string {
  const line = text
    .slice(0, 2 * charactersMax)
    .trim()
    .replaceAll(/\s+/g, ' ');
  return line.length > charactersMax ? `${line.slice(0, charactersMax - 1)}…` : line;
}
