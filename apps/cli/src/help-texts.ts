/** Texts that `coppice --help` shows in addition to the list of commands. */
import { vendors } from '@coppice/contracts';
import type { Vendor, VendorRegistry } from '@coppice/contracts';

export const examples = `Examples:
  coppice run plan.yaml                start the run that plan.yaml describes and watch it
  coppice run plan.yaml --detach       only start it
  coppice run --prompt "Fix the crash on an empty file" --model openai/gpt-5 --verify "npm test"
                                       one task in the current repository and branch
  coppice watch r5xk                   watch it again; "r5xk" is a unique beginning of its id
  coppice show r5xk/changelog          one of its tasks: state, reason, commits, end of its log
  coppice logs r5xk/changelog -f       what its agent says and does
  coppice trace r5xk                   where its time went, step by step
  coppice diff r5xk/changelog          what the task changed
  coppice pull r5xk/changelog          its commit as a branch of your repository
  coppice approve r5xk/changelog       let a change land that waits for approval
  coppice ls --json                    runs as JSON lines, for scripts
  coppice doctor                       what is missing here, and how to fix it
  coppice down                         stop the stack; unfinished runs go on at the next start`;

const variableColumns = 35;

function vendorHelp({ address, key, help }: Vendor): string {
  const [name, ...others] = key?.variables ?? [];
  const keys = name === undefined ? [] : [others.length === 0 ? name : `${name} (or ${others.join(', ')})`];
  const [first = '', ...more] = help;
  const indent = ' '.repeat(variableColumns + 4);
  return [
    `  ${[...keys, address.variable].join(', ').padEnd(variableColumns - 1)}   ${first}`,
    ...more.map((line) => `${indent}${line}`),
  ].join('\n');
}

export const environmentHelpOf = (registry: VendorRegistry): string => `Environment:
  COPPICE_HOME                         where the embedded stack keeps its state
                                       (else $XDG_STATE_HOME/coppice or ~/.local/state/coppice)
  NATS_URL, NATS_USER, NATS_PASSWORD   use the stack at that NATS server instead of an embedded one
  NATS_CREDENTIALS_FILE                a user's file, as written by bus-users, instead of user and password;
                                       a tenant's file also contains the name of the tenant
  NATS_CA_FILE, NATS_CERT_FILE, NATS_KEY_FILE   PEM files for an encrypted connection
${Object.values(registry).map(vendorHelp).join('\n')}
  COPPICE_OPENAI_PROVIDERS             more providers with this API: router=https://openrouter.ai/api/v1,…
                                       (their keys: COPPICE_OPENAI_KEY_<NAME>)
  COPPICE_GATEWAY_CONFIG               the gateway's file: providers, aliases, prices, limits; read when the stack starts
  COPPICE_GATEWAY_HTTP                 host:port of the gateway's HTTP endpoints; read when the stack starts
  COPPICE_GATEWAY_SOCKET               a Unix socket for the endpoints, in addition to the port or instead of it
  COPPICE_JAEGER_URL                   where coppice trace links to, such as http://127.0.0.1:16686
  NO_COLOR                             no colours`;
export const environmentHelp = environmentHelpOf(vendors);

export const idHelp = 'ID is the id of a run (r…) or task (t…), a unique beginning of it, or run/name.';
