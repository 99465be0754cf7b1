/** The gateway's own version of its HTTP client. All programs of the benchmark use it, to make results comparable. */
import { createRequire } from 'node:module';

type Body = AsyncIterable<Uint8Array> & { text(): Promise<string>; dump(): Promise<void> };
type Handler = {
  onRequestStart(): void;
  onResponseStart(controller: unknown, status: number, headers: Record<string, string>): void;
  onResponseData(controller: unknown, piece: Uint8Array): void;
  onResponseEnd(): void;
  onResponseError(): void;
};
type Dispatched = { origin: string; path: string; method: 'POST'; headers: Record<string, string>; body: Uint8Array };
type Agent = { dispatch(request: Dispatched, handler: Handler): void; close(): Promise<void> };
type Options = { method: 'POST'; headers: Record<string, string>; body: string | Uint8Array; dispatcher?: object };
export type Undici = {
  Agent: new (options: { connections?: number; headersTimeout?: number; bodyTimeout?: number }) => Agent;
  request(url: string, options: Options): Promise<{ statusCode: number; headers: Record<string, string>; body: Body }>;
};

const requireOfGateway = createRequire(new URL('../../../apps/llm-gateway/package.json', import.meta.url));

export const undici = requireOfGateway('undici') as Undici;
