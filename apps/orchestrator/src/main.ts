import { runService } from '@coppice/service';
import packageJson from '../package.json' with { type: 'json' };
import { startOrchestrator } from './service.ts';

await runService({
  name: 'orchestrator',
  version: packageJson.version,
  variables: {},
  makesResources: true,
  start: (context) => startOrchestrator(context),
});
