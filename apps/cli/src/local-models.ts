/** An OpenAI-compatible server that answers at its usual port on the loopback interface. */
export type LocalServer = {
  name: string;
  host: string;
  baseUrl: string;
  models: string[];
};

const usualPorts = [
  { name: 'ollama', port: 11_434 },
  { name: 'lm-studio', port: 1_234 },
  { name: 'llama-cpp', port: 8_080 },
] as const;
export const localServerNames = usualPorts.map(({ name }) => name);

const answerMsMax = 800;
const answerBytesMax = 1024 * 1024;
const modelsMax = 20;

export async function findLocalServers(
  ports: readonly { name: string; port: number }[] = usualPorts,
): Promise<LocalServer[]> {
  const found = await Promise.all(ports.map(({ name, port }) => ask(name, port)));
  return found.filter((server) => server !== null);
}

/** Returns null if the answer isn't a list of models. Another program may use this port. */
async function ask(name: string, port: number): Promise<LocalServer | null> {
  const host = `127.0.0.1:${port}`;
  const baseUrl = `http://${host}/v1`;
  try {
    const signal = AbortSignal.timeout(answerMsMax);
    const response = await fetch(`${baseUrl}/models`, { signal, redirect: 'error' });
    const text = response.ok ? await boundedText(response) : null;
    const models = text === null ? null : modelsIn(JSON.parse(text));
    return models === null ? null : { name, host, baseUrl, models };
  } catch {
    return null;
  }
}

function modelsIn(answer: unknown): string[] | null {
  const { data } = (answer ?? {}) as { data?: unknown };
  if (!Array.isArray(data)) return null;
  const ids = (data as { id?: unknown }[]).map((model) => model?.id).filter((id) => typeof id === 'string');
  return ids.length < data.length ? null : ids.slice(0, modelsMax);
}

async function boundedText(response: Response): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
