import { integerVariable, runService } from '@coppice/service';
import packageJson from '../package.json' with { type: 'json' };
import { nodeLostAfterMs, startOrchestrator } from './service.ts';

const nodeLostAfterMsMin = 5_000;
const nodeLostAfterMsMax = 7 * 24 * 3_600_000;

await runService({
  name: 'orchestrator',
  version: packageJson.version,
  variables: {
    /** Time after which an absent host counts as lost. Must be the same for all orchestrators. */
    COPPICE_NODE_LOST_AFTER_MS: integerVariable({ min: nodeLostAfterMsMin, max: nodeLostAfterMsMax }).default(
      nodeLostAfterMs,
    ),
  },
  makesResources: true,
  start: (context, configuration) =>
    startOrchestrator(context, { nodeLostAfterMs: configuration.COPPICE_NODE_LOST_AFTER_MS }),
});
