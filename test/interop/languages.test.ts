/** Runs the examples in all languages with the commands of examples/README.md. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { coppiceEventSchema, streams, subjects } from '@coppice/contracts';
import type { CoppiceEvent } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { runShellLine } from '../support/shell-line.ts';
import type { ShellOutcome } from '../support/shell-line.ts';
import { Stack } from '../support/stack.ts';
import { whyWithoutToolchain } from '../support/toolchains.ts';
import type { Toolchain } from '../support/toolchains.ts';

const projectFolder = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(projectFolder, file), 'utf8');
const tenant = 'acme';
/** Time limit of a build. The first builds download and compile for minutes on two busy cores. */
const buildMsMax = 15 * 60_000;
const runMsMax = 120_000;
/**
 * The model's script. In the first run, no event arrives for more than 10 s, the longest time that one pull request
 * waits.
 */
const script = `
rules:
  - { when: { contains: short notes }, turns: [{ text: "good\\n", latencyMs: 11000 }] }
  - { when: { contains: long book }, turns: [{ text: "never read\\n", latencyMs: 600000 }] }
`;

type Language = {
  heading: string;
  toolchain: Toolchain | null;
  file: string;
  noService: RegExp;
};
const languages: readonly Language[] = [
  { heading: 'Python', toolchain: 'nats-py', file: 'python.md', noService: /NoRespondersError/ },
  { heading: 'Go', toolchain: 'go', file: 'go.md', noService: /no responders available/ },
  { heading: 'Rust', toolchain: 'rust', file: 'rust.md', noService: /kind: NoResponders/ },
  { heading: 'Java', toolchain: 'java', file: 'java.md', noService: /JetStreamStatusException: 503/ },
  { heading: 'Shell', toolchain: 'shell', file: 'shell.md', noService: /No responders are available/ },
  { heading: 'TypeScript', toolchain: null, file: 'typescript.md', noService: /cause: NoResponders/ },
  { heading: 'TypeScript, the older package', toolchain: null, file: 'nats-package.md', noService: /NatsError: 503/ },
];

/** Commands by heading. The last command of a block runs the program. The commands before it build the program. */
const commands = new Map(
  [...read('examples/README.md').matchAll(/^## ([^\n]+)$.*?^```sh\n(.*?)\n```$/gms)].map(([, heading, block = '']) => {
    const lines = block.split('\n');
    return [heading, { build: lines.slice(0, -1).join(' && '), run: lines.at(-1) ?? '' }];
  }),
);
const reasons = new Map(
  await Promise.all(
    languages.map(async ({ heading, toolchain }) => {
      return [heading, toolchain === null ? null : await whyWithoutToolchain(toolchain)] as const;
    }),
  ),
);
const withNode = { PATH: `${path.join(projectFolder, '.cache/bin')}:${process.env['PATH'] ?? ''}` };
const engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';

/**
 * Two sequences of builds, which run in parallel. The builds of the first use all processors. Those of the second
 * mostly wait for downloads.
 */
const buildRows = [
  ['Go', 'Shell', 'Rust'],
  ['Python', 'Java'],
] as const;
/** All languages run at the same time, since each mostly waits. */
vi.setConfig({ maxConcurrency: languages.length });

test('this test runs each example in the document', () => {
  expect([...commands.keys()]).toEqual(languages.map(({ heading }) => heading));
});

describe('against the whole stack', () => {
  let stack: Stack;
  const builds = new Map<string, Promise<ShellOutcome>>();
  const build = (heading: string) =>
    runShellLine(`renice -n 10 $$ >/dev/null; ${commands.get(heading)?.build ?? ''}`, {
      cwd: projectFolder,
      // Disables the optimizations that take the compiler the most time.
      environment: { GOFLAGS: '-gcflags=all=-l -ldflags=-w' },
      timeoutMs: buildMsMax,
    });
  beforeAll(async () => {
    for (const row of buildRows) {
      let before: Promise<unknown> = Promise.resolve();
      for (const heading of row) {
        if (reasons.get(heading) !== null) continue;
        const built = before.then(() => build(heading));
        builds.set(heading, built);
        before = built;
      }
    }
    stack = await Stack.start({ engine, script, tenants: [tenant] });
  }, 180_000);
  afterAll(async () => {
    await stack?.stop();
  });

  const address = (user = '') => `nats://${user}${new URL(stack.nats.url).host}`;
  const byKey = () => ({ NATS_URL: address(), NATS_NKEY: stack.users.file(`tenant-${tenant}`).replace(/json$/, 'nk') });
  const byPassword = () => ({ NATS_URL: address('acme:for-acme@') });

  function run(heading: string, repository: string, user: Record<string, string>) {
    const environment = {
      ...withNode,
      ...user,
      COPPICE_TENANT: tenant,
      REPOSITORY: repository,
      MODEL: stack.model,
    };
    return runShellLine(commands.get(heading)?.run ?? '', { cwd: projectFolder, environment, timeoutMs: runMsMax });
  }

  async function storedEvents(runId: string): Promise<CoppiceEvent[]> {
    const all: CoppiceEvent[] = [];
    for await (const message of stack.bus.read(streams.events, subjects.event(tenant, runId, '*', '*')))
      all.push(coppiceEventSchema.parse(message.json()));
    return all;
  }

  function formatted({ type, data }: CoppiceEvent): string {
    const { name, to, state, landedCommit, reason } = data as Record<string, string | null | undefined>;
    const words = [type.replace('coppice.', ''), name, to ?? state, landedCommit, reason];
    return words.filter((word) => word !== undefined && word !== null && word !== '').join(' ');
  }

  test.concurrent.for(languages)(
    '$heading: with a key, prints a rejected request, a merged commit and a cancelled run',
    { timeout: buildMsMax },
    async ({ heading, file }, { skip }) => {
      const reason = reasons.get(heading) ?? null;
      if (reason !== null) skip(reason);
      const needsBuild = commands.get(heading)?.build !== '';
      expect(needsBuild ? await builds.get(heading) : { exitCode: 0 }).toMatchObject({ exitCode: 0 });
      await using repository = await temporaryRepository();
      const { exitCode, out, err } = await run(heading, repository.path, byKey());
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
      const [first = '', second = ''] = [...out.matchAll(/^submitted (\w+)$/gm)].map(([, runId]) => runId);
      const [merged, cancelled] = [await storedEvents(first), await storedEvents(second)];
      expect(out.trim().split('\n')).toEqual([
        'refused invalid-request',
        '  tasks[0].prompt: expected string, received 7',
        `submitted ${first}`,
        ...merged.map(formatted),
        `submitted ${second}`,
        ...cancelled.map(formatted),
      ]);
      expect(merged.map(formatted).slice(-2)).toEqual([
        `task-ended notes merged ${await repository.head()}`,
        'run-ended succeeded',
      ]);
      expect(await repository.show(file)).toBe('good\n');
      expect(cancelled.map(formatted).at(-1)).toBe('run-ended cancelled');
      expect(cancelled.map(formatted)).toContain('task-state notes working');
    },
  );

  test('with a password, an immediate error reports that no service is running', { timeout: buildMsMax }, async () => {
    await stack.kill('orchestrator');
    const here = languages.filter(({ heading }) => reasons.get(heading) === null);
    const outcomes = await Promise.all(
      here.map(async ({ heading }) => {
        await builds.get(heading);
        return run(heading, '/nowhere', byPassword());
      }),
    );
    for (const [index, { heading, noService }] of here.entries()) {
      const { exitCode, out, err } = outcomes[index] as ShellOutcome;
      expect([heading, out, err]).toEqual([heading, '', expect.stringMatching(noService)]);
      expect([heading, exitCode]).not.toEqual([heading, 0]);
    }
  });
});
