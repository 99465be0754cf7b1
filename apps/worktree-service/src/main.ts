import { integerVariable, runService, sandboxVariables } from '@coppice/service';
import { allowedRepositoriesFrom, allowedVariables } from './allowed-lists.ts';
import { diskSettings, diskVariables } from './disk/settings.ts';
import { startWorktreeService } from './service.ts';
import { serviceName } from './service-name.ts';

const concurrencyMax = 64;

await runService({
  name: serviceName,
  version: '0.1.0',
  variables: {
    ...sandboxVariables,
    ...allowedVariables,
    ...diskVariables,
    COPPICE_WORKTREE_CONCURRENCY: integerVariable({ min: 1, max: concurrencyMax }).optional(),
  },
  start: (context, configuration) =>
    startWorktreeService(context, {
      dataFolder: configuration.COPPICE_DATA,
      sandboxUid: configuration.COPPICE_SANDBOX_UID,
      allowedRepositories: allowedRepositoriesFrom(configuration),
      disk: diskSettings(configuration),
      concurrency: configuration.COPPICE_WORKTREE_CONCURRENCY,
    }),
});
