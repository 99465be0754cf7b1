/**
 * How much of a command is still analyzed: shell text that is parsed, commands in it, and words that programs get as arguments. All may be many times what
 * the command has: `parallel` makes a copy of its text for each input, and each wrapper of a chain has all words behind it.
 */
export type Budget = { characters: number; commands: number; words: number };

export const budgetOfCommand = (): Budget => ({ characters: 32_768, commands: 500, words: 50_000 });

/** For all commands of a request, which are analyzed in one synchronous call. */
export const budgetOfRequest = (): Budget => ({ characters: 262_144, commands: 10_000, words: 500_000 });

/** What one command takes of several budgets: its own and its request's. */
export class Spending {
  readonly #budgets: readonly Budget[];
  #exhausted = false;

  constructor(budgets: readonly Budget[]) {
    this.#budgets = budgets;
  }

  /** True once something was refused. No more is analyzed then, however small it is. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** @returns false if it is more than is left */
  take(amount: Partial<Budget>): boolean {
    const { characters = 0, commands = 0, words = 0 } = amount;
    this.#exhausted ||= this.#budgets.some(
      (left) => left.characters < characters || left.commands < commands || left.words < words,
    );
    if (this.#exhausted) return false;
    for (const left of this.#budgets) {
      left.characters -= characters;
      left.commands -= commands;
      left.words -= words;
    }
    return true;
  }

  get commandsLeft(): number {
    return Math.min(...this.#budgets.map(({ commands }) => commands));
  }
}
