/** A client of the HTTP endpoints. */
import { wireOf } from '../wires/registry.ts';
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import { replay, replayWhole } from './replay.ts';
import { smallRequest } from './attempt.ts';

export type EndpointAnswer = {
  status: number;
  headers: Headers;
  /** True if the connection ended before the HTTP response was complete. */
  broke: boolean;
  /** Text of a complete answer, as the wire format's reader returns it. Empty for any other answer. */
  text: string;
  /** True if the answer has the end that the wire format requires. */
  whole: boolean;
  error: string | null;
};

/** Patterns of the end of a complete answer, as clients of each wire format recognise it. */
const endings: Readonly<Record<EndpointFormat, RegExp>> = {
  'openai-chat': /data: \[DONE\]|"finish_reason":"/,
  'openai-responses': /response\.(completed|incomplete)"|"status":"(completed|incomplete)","incomplete_details/,
  anthropic: /message_stop|"stop_reason":"/,
  gemini: /"finishReason":"/,
};

type EndpointCall = {
  url: string;
  token: string;
  wire: EndpointFormat;
  model: string;
  stream: boolean;
  signal?: AbortSignal;
};

export async function callEndpoint({
  url,
  token,
  wire: name,
  model,
  stream,
  signal,
}: EndpointCall): Promise<EndpointAnswer> {
  const base = name.startsWith('openai') ? `${url}/v1` : url;
  const wire = wireOf(name, base);
  try {
    const response = await fetch(`${base}/${wire.path(model, stream)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...wire.headers(null), ...wire.keyHeaders(token) },
      body: JSON.stringify(wire.body({ ...smallRequest, tools: [], model }, stream)),
      ...(signal === undefined ? {} : { signal }),
    });
    const { text: raw, broke } = await readAll(response);
    return {
      status: response.status,
      headers: response.headers,
      broke,
      ...(await understood(raw, { name, base, stream, ok: response.ok })),
    };
  } catch {
    return { status: 0, headers: new Headers(), broke: true, text: '', whole: false, error: null };
  }
}

async function readAll({ body }: Response): Promise<{ text: string; broke: boolean }> {
  const pieces: Uint8Array[] = [];
  const received = (broke: boolean) => ({ text: Buffer.concat(pieces).toString(), broke });
  try {
    for await (const piece of body ?? []) pieces.push(piece);
    return received(false);
  } catch {
    return received(true);
  }
}

async function understood(
  raw: string,
  { name, base, stream, ok }: { name: EndpointFormat; base: string; stream: boolean; ok: boolean },
): Promise<Pick<EndpointAnswer, 'text' | 'whole' | 'error'>> {
  const error = /"error":(?!null)/.test(raw) ? raw : null;
  const ended = endings[name].test(raw);
  if (!ok) return { text: '', whole: ended, error };
  const wire = wireOf(name, base);
  const attempt = await (stream ? replay(wire, [Buffer.from(raw)]) : replayWhole(wire, JSON.parse(raw) as unknown));
  if (attempt.status === 'complete') return { text: attempt.text, whole: true, error };
  return { text: '', whole: ended, error: error ?? attempt.error.message };
}
