import { integerVariable, runService, sandboxVariables } from '@coppice/service';
import { z } from 'zod';
import packageJson from '../package.json' with { type: 'json' };
import { engineChoices } from './choose-engine.ts';
import { serviceName } from './place.ts';
import { startContainerService } from './service.ts';

const concurrencyMax = 64;

await runService({
  name: serviceName,
  version: packageJson.version,
  variables: {
    COPPICE_ENGINE: z.enum(engineChoices, `one of ${engineChoices.join(', ')}`).default('auto'),
    /** Default: DOCKER_HOST, else ~/.docker/run/docker.sock if it exists, else /var/run/docker.sock. */
    COPPICE_DOCKER_SOCKET: z.string().optional(),
    /** Default: bwrap from PATH, or from the project's cache folder. */
    COPPICE_BWRAP: z.string().optional(),
    COPPICE_IMAGES: z.string().optional(),
    ...sandboxVariables,
    COPPICE_CONTAINER_CONCURRENCY: integerVariable({ min: 1, max: concurrencyMax }).optional(),
  },
  start: (context, configuration) =>
    startContainerService(context, {
      dataFolder: configuration.COPPICE_DATA,
      engine: configuration.COPPICE_ENGINE,
      imagesFolder: configuration.COPPICE_IMAGES,
      dockerSocket: configuration.COPPICE_DOCKER_SOCKET,
      bubblewrapProgram: configuration.COPPICE_BWRAP,
      sandboxUid: configuration.COPPICE_SANDBOX_UID,
      concurrency: configuration.COPPICE_CONTAINER_CONCURRENCY,
    }),
});
