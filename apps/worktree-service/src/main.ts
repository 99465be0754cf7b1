import { integerVariable, runService, sandboxVariables } from '@coppice/service';
import { allowedRepositoriesFrom, allowedVariables } from './allowed-lists.ts';
import { serviceName } from './handlers.ts';
import { startWorktreeService } from './service.ts';

const concurrencyMax = 64;

await runService({
  name: serviceName,
  version: '0.1.0',
  variables: {
    ...sandboxVariables,
    ...allowedVariables,
    COPPICE_WORKTREE_CONCURRENCY: integerVariable({ min: 1, max: concurrencyMax }).optional(),
  },
  start: (context, configuration) =>
    startWorktreeService(context, {
      dataFolder: configuration.COPPICE_DATA,
      sandboxUid: configuration.COPPICE_SANDBOX_UID,
      allowedRepositories: allowedRepositoriesFrom(configuration),
      concurrency: configuration.COPPICE_WORKTREE_CONCURRENCY,
    }),
});
