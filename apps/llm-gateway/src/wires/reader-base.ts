import { CoppiceError } from '@coppice/contracts';
import type { ModelDelta, WireName } from '../provider/port.ts';
import { providerError } from '../transport/errors.ts';
import { nonEmpty } from './values.ts';

/** The provider whose answer is read. `secret` is redacted in errors. */
export type ReaderAbout = { provider: string; secret: string | null };

/** Base of the readers of all wire formats: their errors, and the deltas that begin an answer and a tool call. */
export class ReaderBase {
  readonly #about: ReaderAbout & { wire?: WireName };
  #begun = false;

  /** @param about `wire` is the format of field names in errors, if clients of that format get these names */
  constructor(about: ReaderAbout & { wire?: WireName }) {
    this.#about = about;
  }

  /** Builds the error for an error inside the answer. It is retryable unless its content says otherwise. */
  protected fail(body: unknown): CoppiceError {
    return providerError({ ...this.#about, body });
  }

  /** Builds the error for a server that uses another format. `what` describes what it sent. */
  protected notOfThisWire(what: string): CoppiceError {
    return new CoppiceError('provider-failed', `${this.#about.provider} sent what is ${what}`, { retryable: true });
  }

  /** Returns the delta that begins the answer, the first time that the model or the id is known. */
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
