/**
 * Remaining budget for the analysis of a command. It counts characters of shell text to parse, commands in the text,
 * and words that programs get as arguments. These may be many times more than in the command itself. For example,
 * `parallel` copies its text for each input, and each wrapper in a chain gets all words after it.
 */
export type Budget = { characters: number; commands: number; words: number };

export const budgetOfCommand = (): Budget => ({ characters: 32_768, commands: 500, words: 50_000 });

/** Budget for all commands of a request together, which are analyzed in one synchronous call. */
export const budgetOfRequest = (): Budget => ({ characters: 262_144, commands: 10_000, words: 500_000 });

/** Spends the budgets of a command and of its request at once. */
export class Spending {
  readonly #budgets: readonly Budget[];
  #exhausted = false;

  constructor(budgets: readonly Budget[]) {
    this.#budgets = budgets;
  }

  /** True after `take` has refused an amount. Nothing more is analyzed then. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** @returns false if too little is left */
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
