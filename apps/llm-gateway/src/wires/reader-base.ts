import { CoppiceError } from '@coppice/contracts';
import type { ModelDelta, WireName } from '../provider/port.ts';
import { providerError } from '../transport/errors.ts';
import { nonEmpty } from './values.ts';

/** The provider that sends the answer. `secret` is redacted in errors. */
export type ReaderAbout = { provider: string; secret: string | null };

/** Base class of the readers of all wire formats. */
export class ReaderBase {
  readonly #about: ReaderAbout & { wire?: WireName };
  #begun = false;

  /** @param about with `wire`, errors contain the provider's `param` and `code` */
  constructor(about: ReaderAbout & { wire?: WireName }) {
    this.#about = about;
  }

  /**
   * Builds the error for an error that the server sent inside its answer. The error is retryable unless its content
   * says otherwise.
   */
  protected fail(body: unknown): CoppiceError {
    return providerError({ ...this.#about, body });
  }

  /**
   * Builds the error for a server that uses another format. `what` describes the content, for example `no event of a
   * message`.
   */
  protected notOfThisWire(what: string): CoppiceError {
    return new CoppiceError('provider-failed', `${this.#about.provider} sent what is ${what}`, { retryable: true });
  }

  /** Returns the delta that begins the answer. Only the first call with a model or an id returns one. */
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
