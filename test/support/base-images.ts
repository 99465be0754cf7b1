/** Program of `npm run base-images`. It makes the images that docker-compose.yml otherwise pulls from a registry. */
import { makeStandInImages, standInRegistry } from './stand-in-images.ts';

const { descriptions } = await makeStandInImages();
for (const line of descriptions) process.stdout.write(`${line}\n`);
process.stdout.write(`set COPPICE_REGISTRY=${standInRegistry} and COPPICE_DEPENDENCIES=given\n`);
