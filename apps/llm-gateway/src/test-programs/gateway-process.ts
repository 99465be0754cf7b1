/**
 * Runs the gateway as main.ts does, for crash.test.ts. Prints each point that a model call reaches. Halts at the point
 * in TESTED_HALT_AT, so that the test can kill the process there.
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
