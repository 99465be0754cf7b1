/** Environment variables with the addresses that the façade listens on. Off by default. */
import path from 'node:path';
import { z } from 'zod';
import type { Address } from './listen.ts';

const hostAndPort = /^(?:\[([0-9a-f:]+)\]|([^:\s/]+)):(\d{1,5})$/i;
const expected = 'host:port, such as 127.0.0.1:8790';
/** Limit of the kernel. */
const socketPathBytesMax = 107;

export const facadeVariables = {
  /** Host and port of the HTTP endpoints; port 0 takes a free one. */
  COPPICE_GATEWAY_HTTP: z
    .string()
    .regex(hostAndPort, expected)
    .transform((text) => {
      const [, ipv6, host, port] = hostAndPort.exec(text) ?? [];
      return { host: ipv6 ?? host ?? '', port: Number(port) };
    })
    .refine(({ port }) => port <= 65_535, expected)
    .optional(),
  /** Path of a unix socket, in addition to the port or instead of it. */
  COPPICE_GATEWAY_SOCKET: z
    .string()
    .transform((file) => path.resolve(file))
    .refine((file) => Buffer.byteLength(file) <= socketPathBytesMax, `a path of at most ${socketPathBytesMax} bytes`)
    .optional(),
};

export function facadeAddresses(configuration: z.output<z.ZodObject<typeof facadeVariables>>): Address[] {
  const { COPPICE_GATEWAY_HTTP: http, COPPICE_GATEWAY_SOCKET: socket } = configuration;
  return [...(http === undefined ? [] : [http]), ...(socket === undefined ? [] : [{ socket }])];
}
