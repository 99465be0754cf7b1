/** Starts @musistudio/llms as its documentation describes, but without logging. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { freePort } from './free-port.ts';
import { printReady } from './ready.ts';

const [, , upstream = '', peersFolder = ''] = process.argv;
type Llms = { default: new (options: object) => { start(): Promise<void> } };
const { default: Server } = createRequire(path.join(peersFolder, 'package.json'))('@musistudio/llms') as Llms;

const provider = {
  name: 'bench',
  api_base_url: `${upstream}/v1/chat/completions`,
  api_key: 'none',
  models: ['bench-1', 'paced'],
};
const port = await freePort();
const initialConfig = { HOST: '127.0.0.1', PORT: String(port), LOG: false, providers: [provider] };
await new Server({ initialConfig, useJsonFile: false, useEnvFile: false, logger: false }).start();
printReady({ url: `http://127.0.0.1:${port}` });
