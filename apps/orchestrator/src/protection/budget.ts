/**
 * Remaining budget of the analysis of a command: characters of shell text to parse, commands in it, and words that programs get as arguments. Each amount may
 * be many times larger than in the command itself: `parallel` copies its text for each input, and each wrapper in a chain gets all words after it.
 */
export type Budget = { characters: number; commands: number; words: number };

export const budgetOfCommand = (): Budget => ({ characters: 32_768, commands: 500, words: 50_000 });

/** Budget for all commands of a request, which are analyzed in one synchronous call. */
export const budgetOfRequest = (): Budget => ({ characters: 262_144, commands: 10_000, words: 500_000 });

/** Spends several budgets at once: a command's own and its request's. */
export class Spending {
  readonly #budgets: readonly Budget[];
  #exhausted = false;

  constructor(budgets: readonly Budget[]) {
    this.#budgets = budgets;
  }

  /** True once `take` has refused an amount. From then on nothing more is analyzed, however short it is. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** @returns false if the amount is more than is left */
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
