import type { Bus } from '@coppice/bus';
import { gatewayHealthMessageSchema, subjects } from '@coppice/contracts';
import type { GatewayHealthNews } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { jsonOf } from '../provider/http/json.ts';

const log = createLogger('llm-gateway');

/**
 * Tells the other gateways what this one learns of its providers, and hears what they learn. Nothing is stored or acknowledged: a gateway that missed a message
 * learns the same by asking.
 */
export class HealthSharing {
  readonly #bus: Bus;
  readonly #from: string;

  /** `from` names this process. */
  constructor(bus: Bus, from: string) {
    this.#bus = bus;
    this.#from = from;
  }

  tell(news: GatewayHealthNews): void {
    log.info(news, 'whether a model is asked has changed');
    // A model's name that the message has no room for is one that no provider has.
    const message = gatewayHealthMessageSchema.safeParse({ ...news, from: this.#from });
    if (!message.success) return;
    try {
      this.#bus.publishCore(subjects.gatewayHealth, message.data);
    } catch (error) {
      // A call mustn't fail since the others don't hear of it.
      log.warn({ err: error }, 'the other gateways were not told');
    }
  }

  /** @returns ends it. */
  hear(learn: (news: GatewayHealthNews) => void): () => void {
    const subscription = this.#bus.subscribeCore(subjects.gatewayHealth, (data) => {
      const message = gatewayHealthMessageSchema.safeParse(jsonOf(new TextDecoder().decode(data)));
      if (!message.success) log.warn({ issues: message.error.issues }, 'a message about models is not understood');
      else if (message.data.from !== this.#from) learn(message.data);
    });
    return () => subscription.unsubscribe();
  }
}
