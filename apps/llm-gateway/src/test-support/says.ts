import type { ModelDelta, ModelRequest, Provider, RequestContext } from '../provider/port.ts';

type Step = ModelDelta | Error | 'hang';

const never = new Promise<never>(() => {});

/** Streams these steps. The step `hang` waits forever and ignores the abort signal. */
export async function* says(...steps: Step[]): AsyncGenerator<ModelDelta[], void, undefined> {
  for (const step of steps) {
    if (step === 'hang') await never;
    else if (step instanceof Error) throw step;
    else yield [step];
  }
}

export const text = (value: string): ModelDelta => ({ type: 'text-delta', text: value });
export const end: ModelDelta = { type: 'response-end', finishReason: 'stop' };

/** Creates a provider that plays one answer per request and repeats the last answer. It records its requests. */
export function saying(name: string, ...answers: Step[][]) {
  const requests: { request: ModelRequest; context: RequestContext; left: boolean }[] = [];
  const provider: Provider = {
    name,
    wire: null,
    async *stream(request, context) {
      const entry = { request, context, left: true };
      requests.push(entry);
      try {
        yield* says(...(answers[Math.min(requests.length, answers.length) - 1] ?? []));
        entry.left = false;
      } catch (error) {
        entry.left = false;
        throw error;
      }
    },
    check: async () => {},
    describe: async () => ({ host: null, keyPresent: false, reachable: null, models: [], problem: null }),
  };
  return Object.assign(provider, { requests });
}
