/**
 * Generates ids for tool calls without an id, since other wire formats match results to calls by id. A result without
 * an id belongs to the first call with its name that has no result yet. The same conversation always gets the same ids.
 * The ids have nine digits, since Mistral accepts only this length.
 */
export class CallIds {
  readonly #all = new OpenCalls();
  readonly #byName = new Map<string, OpenCalls>();
  readonly #byId = new Map<string, OpenCalls>();
  #made = 0;

  /** @param id the id that the client sent, if any */
  call(name: string, id: unknown): string {
    const own = typeof id === 'string' && id !== '' ? id : this.#make();
    const call = { id: own, name, answered: false };
    for (const calls of [this.#all, callsOf(this.#byName, name), callsOf(this.#byId, own)]) calls.add(call);
    return own;
  }

  result(name: string, id: unknown): { id: string; name: string } {
    const stated = typeof id === 'string' && id !== '' ? id : null;
    const ofName = name === '' ? this.#all : this.#byName.get(name);
    const call = (stated === null ? ofName : this.#byId.get(stated))?.first();
    if (call === undefined) return { id: stated ?? this.#make(), name };
    call.answered = true;
    return { id: call.id, name: call.name };
  }

  #make(): string {
    return String(++this.#made).padStart(9, '0');
  }
}

type Call = { id: string; name: string; answered: boolean };

/**
 * Calls in order. `first` never scans an answered call twice, since a malicious client may send tens of thousands of
 * calls.
 */
class OpenCalls {
  readonly #calls: Call[] = [];
  #answered = 0;

  add(call: Call): void {
    this.#calls.push(call);
  }

  first(): Call | undefined {
    while (this.#calls[this.#answered]?.answered === true) this.#answered++;
    return this.#calls[this.#answered];
  }
}

function callsOf(calls: Map<string, OpenCalls>, key: string): OpenCalls {
  const known = calls.get(key) ?? new OpenCalls();
  calls.set(key, known);
  return known;
}
