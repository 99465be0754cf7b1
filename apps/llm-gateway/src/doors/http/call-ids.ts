/**
 * Ids for the calls of a conversation whose wire has none, so that other wires can be told which result is whose: a result belongs to the first call of its name
 * that has none yet. The same conversation gets the same ids. Nine digits: Mistral takes no ids of another length.
 */
export class CallIds {
  readonly #open: { id: string; name: string }[] = [];
  #made = 0;

  /** `id`: where the client tells one. */
  call(name: string, id: unknown): string {
    const own = typeof id === 'string' && id !== '' ? id : String(++this.#made).padStart(9, '0');
    this.#open.push({ id: own, name });
    return own;
  }

  result(name: string, id: unknown): { id: string; name: string } {
    const told = typeof id === 'string' && id !== '' ? id : null;
    const index = this.#open.findIndex((call) =>
      told === null ? call.name === name || name === '' : call.id === told,
    );
    const [call] = index === -1 ? [] : this.#open.splice(index, 1);
    return call ?? { id: told ?? String(++this.#made).padStart(9, '0'), name };
  }
}
