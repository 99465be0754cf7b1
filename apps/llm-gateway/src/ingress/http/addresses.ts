/** Environment variables with the façade's addresses. If none is set, the façade doesn't listen. */
import path from 'node:path';
import { z } from 'zod';
import type { Address } from './listen.ts';

const hostAndPort = /^(?:\[([0-9a-f:]+)\]|([^:\s/]+)):(\d{1,5})$/i;
const expected = 'host:port, such as 127.0.0.1:8790';
/** Longest path of a unix socket that the kernel accepts. */
const socketPathBytesMax = 107;

export const facadeVariables = {
  /** Port 0 selects a free port. */
  COPPICE_GATEWAY_HTTP: z
    .string()
    .regex(hostAndPort, expected)
    .transform((text) => {
      const [, ipv6, host, port] = hostAndPort.exec(text) ?? [];
      return { host: ipv6 ?? host ?? '', port: Number(port) };
    })
    .refine(({ port }) => port <= 65_535, expected)
    .optional(),
  /** Path of a unix socket. If both variables are set, the façade listens on both addresses. */
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
