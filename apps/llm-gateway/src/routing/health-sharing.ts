import type { Bus } from '@coppice/bus';
import { gatewayHealthMessageSchema, subjects } from '@coppice/contracts';
import type { GatewayHealthNews } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { jsonOf } from '../transport/json.ts';

const log = createLogger('llm-gateway');

/**
 * Shares provider health between gateways. Messages are neither stored nor acknowledged, since a gateway that misses one learns the same from its own calls.
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
    // A model name that is too long for the message isn't published, since no provider has such a model.
    const message = gatewayHealthMessageSchema.safeParse({ ...news, from: this.#from });
    if (!message.success) return;
    try {
      this.#bus.publishCore(subjects.gatewayHealth, message.data);
    } catch (error) {
      // Only logged: a call must not fail because the other gateways weren't notified.
      log.warn({ err: error }, 'the other gateways were not notified');
    }
  }

  /** Subscribes to the other gateways' messages. @returns a function that ends the subscription. */
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
