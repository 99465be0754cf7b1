import { describeConformance } from './conformance.ts';
import { noneLauncher } from './none.ts';

await describeConformance({
  engine: 'none',
  makeLauncher: ({ stateFolder }) => noneLauncher({ stateFolder }),
  // Nothing: whoever chooses it is told so.
  mustEnforce: [],
});
