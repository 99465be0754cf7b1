import { budgetOfRequest } from './budget.ts';
import { definitionOf } from './definition.ts';
import type { Definition } from './definition.ts';

/** Caches the definitions of a request's commands, since most tasks of a request have the same command. */
export class Definitions {
  readonly #byCommand = new Map<string, Definition>();
  readonly #budget = budgetOfRequest();

  of(command: string): Definition {
    const definition = this.#byCommand.get(command) ?? definitionOf(command, this.#budget);
    this.#byCommand.set(command, definition);
    return definition;
  }
}
