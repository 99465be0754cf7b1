import { CoppiceError } from '@coppice/contracts';
import type { ModelDelta, WireName } from '../provider/port.ts';
import { providerError } from '../transport/errors.ts';
import { nonEmpty } from './values.ts';

/** Whose answer is read. `secret` is redacted from errors. */
export type ReaderAbout = { provider: string; secret: string | null };

/** What the readers of all wire formats share: their errors, and the deltas that start an answer and a call. */
export class ReaderBase {
  readonly #about: ReaderAbout & { wire?: WireName };
  #begun = false;

  /** `wire`: the format that names of fields in errors belong to, if clients of that format get them. */
  constructor(about: ReaderAbout & { wire?: WireName }) {
    this.#about = about;
  }

  /** An error inside the answer; retryable unless it says otherwise. */
  protected fail(body: unknown): CoppiceError {
    return providerError({ ...this.#about, body });
  }

  /** The error of a server that speaks another format: it sent what is `what`. */
  protected notOfThisWire(what: string): CoppiceError {
    return new CoppiceError('provider-failed', `${this.#about.provider} sent what is ${what}`, { retryable: true });
  }

  /** The start of the answer, at the first time that either is known. */
  protected start(model: string | null | undefined, id: string | null | undefined): ModelDelta[] {
    if (this.#begun || !(nonEmpty(model) || nonEmpty(id))) return [];
    this.#begun = true;
    return [
      {
        type: 'response-start',
        ...(nonEmpty(model) ? { responseModel: model } : {}),
        ...(nonEmpty(id) ? { responseId: id } : {}),
      },
    ];
  }
}
