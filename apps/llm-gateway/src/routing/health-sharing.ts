import type { Bus } from '@coppice/bus';
import { gatewayHealthMessageSchema, subjects } from '@coppice/contracts';
import type { GatewayHealthNews } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { jsonOf } from '../transport/json.ts';

const log = createLogger('llm-gateway');

/**
 * Shares the health of providers between gateways. Messages are neither stored nor acknowledged. A gateway that misses
 * one learns the same from its own calls.
 */
export class HealthSharing {
  readonly #bus: Bus;
  readonly #from: string;

  /** @param from identifies this process */
  constructor(bus: Bus, from: string) {
    this.#bus = bus;
    this.#from = from;
  }

  publish(news: GatewayHealthNews): void {
    log.info(news, 'the availability of a model has changed');
    // No provider has a model whose name is too long for the message, so such a name isn't published.
    const message = gatewayHealthMessageSchema.safeParse({ ...news, from: this.#from });
    if (!message.success) return;
    try {
      this.#bus.publishCore(subjects.gatewayHealth, message.data);
    } catch (error) {
      // The error is only logged, since the call must not fail because of it.
      log.warn({ err: error }, 'the other gateways were not notified');
    }
  }

  /**
   * Subscribes to the messages of the other gateways.
   * @returns a function that ends the subscription.
   */
  subscribe(learn: (news: GatewayHealthNews) => void): () => void {
    const subscription = this.#bus.subscribeCore(subjects.gatewayHealth, (data) => {
      const message = gatewayHealthMessageSchema.safeParse(jsonOf(new TextDecoder().decode(data)));
      if (!message.success)
        log.warn({ issues: message.error.issues }, 'a message about the health of models is invalid');
      else if (message.data.from !== this.#from) learn(message.data);
    });
    return () => subscription.unsubscribe();
  }
}
