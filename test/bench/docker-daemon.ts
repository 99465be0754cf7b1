/** Options of `http.request` that address a Docker daemon. */
export type DaemonAddress = { socketPath: string } | { host: string; port: number };

const plainPort = 2375;

/**
 * Returns the address of the daemon that the services use.
 * @throws Error for a DOCKER_HOST other than `unix://` or `tcp://` without TLS
 */
export function daemonAddress(environment: NodeJS.ProcessEnv): DaemonAddress {
  const socket = environment['COPPICE_DOCKER_SOCKET'] ?? '';
  if (socket !== '') return { socketPath: socket };
  const named = environment['DOCKER_HOST'] ?? '';
  if (named === '') return { socketPath: '/var/run/docker.sock' };
  if (named.startsWith('unix://')) return { socketPath: named.slice('unix://'.length) };
  const url = URL.parse(named);
  const isPlain = url !== null && /^(tcp|http):$/.test(url.protocol) && (environment['DOCKER_TLS_VERIFY'] ?? '') === '';
  if (!isPlain) throw new Error(`DOCKER_HOST=${named}: expected unix://PATH or tcp://HOST:PORT without TLS`);
  return { host: url.hostname, port: Number(url.port || plainPort) };
}
