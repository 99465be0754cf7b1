/** Service for run-service.test.ts. Prints a line when it starts and when it stops. */
import { runService } from '../index.ts';
import { z } from 'zod';

await runService({
  name: 'tested-service',
  version: '1.0.0',
  makesResources: true,
  variables: { TESTED_BEHAVIOUR: z.enum(['good', 'throws', 'rejects', 'fails-to-start', 'stops-slowly']) },
  start: async (context, configuration) => {
    const behaviour = configuration.TESTED_BEHAVIOUR;
    if (behaviour === 'fails-to-start') throw new Error('no disk');
    if (behaviour === 'throws')
      setTimeout(() => {
        throw new Error('a defect');
      }, 10);
    if (behaviour === 'rejects') setTimeout(() => void Promise.reject(new Error('a defect')), 10);
    console.log(`member ${context.member.id}`);
    return {
      stop: async () => {
        console.log(`stopping as member: ${await context.member.isMember(context.member.id)}`);
        if (behaviour === 'stops-slowly') await new Promise((resolve) => setTimeout(resolve, 60_000));
      },
    };
  },
});
