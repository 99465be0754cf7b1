import { describeConformance } from './conformance.ts';
import { dockerLauncher } from './docker.ts';
import { enforceable } from './port.ts';

const socketPath = process.env['COPPICE_DOCKER_SOCKET'];

await describeConformance({
  engine: 'docker',
  makeLauncher: ({ stateFolder, imagesFolder, stackId }) =>
    dockerLauncher({ stateFolder, imagesFolder, stackId, ...(socketPath === undefined ? {} : { socketPath }) }),
  // A stack that isn't root runs its sandboxes as itself, so that it can delete what they made.
  mustEnforce: enforceable.filter((name) => name !== 'ownUid' || process.getuid?.() === 0),
});
