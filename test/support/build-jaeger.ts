/**
 * Program of `npm run jaeger`. It builds Jaeger from its sources in Go's module proxy, for machines that can't pull the
 * official image. This takes minutes of CPU time, so neither set-up nor CI runs it.
 */
import { execFileSync } from 'node:child_process';
import type { StdioOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { linkProgram, moveIntoPlace, openCache } from '../../setup/cache.js';
import { cacheFolder } from '../../setup/paths.js';
import { whyWithoutToolchain } from './toolchains.ts';

/** Jaeger's Go modules and images have different version numbers. `imageVersion` is that of docker-compose.yml. */
const moduleVersion = 'v1.76.0';
const imageVersion = '2.13.0';
const buildMsMax = 60 * 60_000;
const target = join(cacheFolder, 'jaeger', imageVersion);

async function build(): Promise<void> {
  const missing = await whyWithoutToolchain('go');
  if (missing !== null) throw new Error(missing);
  console.log(`building Jaeger ${imageVersion} from its sources: some minutes of processor time`);
  // Go runs in the folder of Jaeger's own module. Elsewhere it would ignore the `replace` directives of Jaeger's
  // go.mod.
  const environment = { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly -trimpath' };
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  const settings = { env: environment, timeout: buildMsMax, stdio };
  const module = ['mod', 'download', '-json', `github.com/jaegertracing/jaeger@${moduleVersion}`];
  const { Dir: source } = JSON.parse(execFileSync('go', module, { ...settings, cwd: cacheFolder }).toString()) as {
    Dir: string;
  };
  const folder = `${target}.${process.pid}`;
  execFileSync('nice', ['go', 'build', '-o', join(folder, 'jaeger'), './cmd/jaeger'], { ...settings, cwd: source });
  moveIntoPlace(folder, target);
}

openCache();
if (!existsSync(join(target, 'jaeger'))) await build();
console.log(`Jaeger ${imageVersion} is ${linkProgram('jaeger', join(target, 'jaeger'))}`);
