import { integerVariable, runService, sandboxVariables } from '@coppice/service';
import { serviceName } from './handlers.ts';
import { startWorktreeService } from './service.ts';

const concurrencyMax = 64;

await runService({
  name: serviceName,
  version: '0.1.0',
  variables: {
    ...sandboxVariables,
    COPPICE_WORKTREE_CONCURRENCY: integerVariable({ min: 1, max: concurrencyMax }).optional(),
  },
  start: (context, configuration) =>
    startWorktreeService(context, {
      dataFolder: configuration.COPPICE_DATA,
      sandboxUid: configuration.COPPICE_SANDBOX_UID,
      concurrency: configuration.COPPICE_WORKTREE_CONCURRENCY,
    }),
});
