import { runService } from '@coppice/service';
import packageJson from '../package.json' with { type: 'json' };
import { gatewayOptions, gatewayVariables } from './configuration.ts';
import { startLlmGateway } from './service.ts';

await runService({
  name: 'llm-gateway',
  version: packageJson.version,
  variables: gatewayVariables,
  start: (context, configuration) => startLlmGateway(context, gatewayOptions(configuration)),
});
