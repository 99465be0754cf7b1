/**
 * The gateway as in main.ts, for tests. It prints each point of a model call, and can halt at one point so that a test
 * can kill it there.
 */
import { runService } from '@coppice/service';
import { z } from 'zod';
import { gatewayOptions, gatewayVariables, startLlmGateway, turnPoints } from '../index.ts';

await runService({
  name: 'llm-gateway',
  version: '0.0.0',
  variables: { ...gatewayVariables, TESTED_HALT_AT: z.enum(turnPoints).optional() },
  start: (context, configuration) =>
    startLlmGateway(context, {
      ...gatewayOptions(configuration),
      onPoint: async (point) => {
        console.log(`point ${point}`);
        if (point === configuration.TESTED_HALT_AT) await new Promise(() => {});
      },
    }),
});
