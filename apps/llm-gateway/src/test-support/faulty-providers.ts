/** Providers of every wire format that send their requests to a faulty upstream. */
import type { FaultyRequest, FaultyUpstream } from '@coppice/faulty-upstream';
import { httpProvider } from '../transport/provider.ts';
import type { PatienceLimits } from '../transport/time-limits.ts';
import type { Provider } from '../provider/port.ts';
import type { WireName } from '../wires/registry.ts';
import { wireNames, wireOf } from '../wires/registry.ts';
import { generous } from './attempt.ts';

/** Time limit for stalls. An answer that the upstream sends at once arrives earlier. */
const shortMs = 500;
/** Time limit that only a hanging call reaches. An answer that is sent byte by byte is slow on a busy machine. */
const hangMs = 100_000;

export class FaultyProviders {
  readonly #made: Provider[] = [];
  readonly #taken = new Map<string, { promise: Promise<void>; resolve: () => void }>();
  readonly #patient = new Set<string>();
  /** One provider per wire format, named after the format, and one named `healthy`. */
  readonly all: readonly Provider[];

  constructor({ url, tlsUrl }: Pick<FaultyUpstream, 'url' | 'tlsUrl'>) {
    this.all = [...wireNames.map((wire) => this.#faulty(wire, url, tlsUrl)), this.#at('healthy', 'openai-chat', url)];
  }

  /**
   * Resolves when the client has read the output, so that the upstream may cut the connection. Resolves at once for an
   * unstreamed answer or any other fault.
   */
  async outputTaken({ model, stream, scenario }: FaultyRequest): Promise<void> {
    if (stream && scenario.fault === 'cut-after-output') await this.#takenOf(model).promise;
  }

  /** Turns off the short time limits for this model. Resolves when the client has read the first output. */
  patientFor(name: string): Promise<void> {
    const model = name.slice(name.indexOf('/') + 1);
    this.#patient.add(model);
    return this.#takenOf(model).promise;
  }

  async close(): Promise<void> {
    await Promise.all(this.#made.map(async (provider) => provider.close?.()));
  }

  #takenOf(model: string) {
    const known = this.#taken.get(model) ?? Promise.withResolvers<void>();
    this.#taken.set(model, known);
    return known;
  }

  #at(name: string, wire: WireName, url: string, limits: Partial<PatienceLimits> = {}): Provider {
    const baseUrl = wire.startsWith('openai') ? `${url}/v1` : url;
    const providerServer = { name, wire: wireOf(wire, baseUrl), baseUrl, key: 'key-1', keyRequired: null };
    const provider = httpProvider(providerServer, {
      ...generous,
      firstEventMsMax: hangMs,
      idleMsMax: hangMs,
      totalMsMax: hangMs,
      ...limits,
    });
    this.#made.push(provider);
    return provider;
  }

  #faulty(wire: WireName, url: string, tlsUrl: string): Provider {
    const patient = this.#at(wire, wire, url);
    const insecure = this.#at(wire, wire, tlsUrl);
    const notBegun = this.#at(wire, wire, url, { firstEventMsMax: shortMs, idleMsMax: shortMs });
    const silent = this.#at(wire, wire, url, { idleMsMax: shortMs });
    const of = (model: string, stream: boolean): Provider => {
      if (model.endsWith('/tls-error')) return insecure;
      if (this.#patient.has(model) || !model.includes('/stall-')) return patient;
      return stream && model.endsWith('/stall-after-output') ? silent : notBegun;
    };
    const taken = (model: string) => this.#takenOf(model).resolve();
    return {
      ...patient,
      async *stream(request, context) {
        for await (const deltas of of(request.model, request.stream ?? true).stream(request, context)) {
          yield deltas;
          if (deltas.some(({ type }) => type.endsWith('-delta'))) taken(request.model);
        }
      },
    };
  }
}
