/** Tests that dependencies point one way, and that few files import a vendor's package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkGraph, checkImports } from './architecture/rules.ts';
import type { Dependency, WorkspacePackage } from './architecture/rules.ts';
import { importsOf, projectFolder, readSources } from './architecture/sources.ts';

type Manifest = {
  name: string;
  exports?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
};

async function readGraph(): Promise<{ packages: WorkspacePackage[]; dependencies: Dependency[] }> {
  // Without these variables, Nx would leave a daemon running and write outside the checkout.
  process.env['NX_DAEMON'] = 'false';
  process.env['NX_CACHE_DIRECTORY'] = join(projectFolder, '.nx/cache');
  process.env['NX_WORKSPACE_DATA_DIRECTORY'] = join(projectFolder, '.nx/workspace-data');
  const { createProjectGraphAsync } = await import('@nx/devkit');
  const graph = await createProjectGraphAsync({ exitOnError: false });
  const packages = Object.values(graph.nodes).map((node) => readPackage(node.data.root));
  const dependencies = Object.values(graph.dependencies)
    .flat()
    .filter(({ source, target }) => graph.nodes[source] !== undefined && graph.nodes[target] !== undefined)
    .map(({ source, target }) => ({ from: source, to: target }));
  return { packages, dependencies };
}

function readPackage(folder: string): WorkspacePackage {
  const manifest = JSON.parse(readFileSync(join(projectFolder, folder, 'package.json'), 'utf8')) as Manifest;
  return {
    name: manifest.name,
    folder,
    entries: Object.keys(manifest.exports ?? {}).map((key) => `${manifest.name}${key.slice(1)}`),
    dependencies: Object.keys(manifest.dependencies ?? {}),
    devDependencies: Object.keys(manifest.devDependencies ?? {}),
  };
}

test('the project graph and the sources follow the rules', { timeout: 60_000 }, async () => {
  const { packages, dependencies } = await readGraph();
  expect(packages.map(({ name }) => name)).toContain('@coppice/durable-actor');
  expect(dependencies).toContainEqual({ from: '@coppice/bus', to: '@coppice/contracts' });
  const shippedTesting = packages.filter(({ dependencies: names }) => names.includes('@coppice/testing'));
  expect(shippedTesting.map(({ name }) => `${name} ships @coppice/testing`)).toEqual([]);
  // The manifest of `contracts` lists other packages only as development dependencies, for its generator.
  expect(packages.find(({ name }) => name === '@coppice/contracts')?.dependencies).toEqual(['zod']);
  expect(checkGraph(dependencies)).toEqual([]);
  expect(checkImports(packages, readSources(['libs', 'apps']))).toEqual([]);
});

test('a forbidden dependency is found in the graph', () => {
  expect(
    checkGraph([
      { from: '@coppice/bus', to: '@coppice/contracts' },
      { from: '@coppice/bus', to: '@coppice/service' },
      { from: '@coppice/llm-gateway', to: '@coppice/orchestrator' },
      { from: '@coppice/llm-gateway', to: '@coppice/durable-actor' },
      { from: '@coppice/cli', to: '@coppice/orchestrator' },
      { from: '@coppice/new', to: '@coppice/bus' },
    ]),
  ).toEqual([
    '@coppice/bus may not depend on @coppice/service',
    '@coppice/llm-gateway may not depend on @coppice/orchestrator',
    '@coppice/llm-gateway may not depend on @coppice/durable-actor',
    '@coppice/new has no entry in allowedDependencies',
  ]);
});

test('a forbidden import is found in a source', () => {
  const packages = ['bus', 'contracts', 'testing'].map((name) => ({
    name: `@coppice/${name}`,
    folder: `libs/${name}`,
    entries: [`@coppice/${name}`],
    dependencies: name === 'bus' ? ['@coppice/contracts'] : [],
    devDependencies: name === 'bus' ? ['@coppice/testing'] : [],
  }));
  const source = (path: string, text: string) => ({ path, text, imports: importsOf(text) });
  const planted = [
    source('libs/bus/src/good.ts', "import { a } from '@coppice/contracts';\nimport x from '@nats-io/kv';"),
    source('libs/bus/src/good.test.ts', "import { a } from '@coppice/testing';\nimport x from '@nats-io/kv';"),
    source('libs/bus/src/deep.ts', "export { a } from '@coppice/contracts/src/errors.ts';"),
    source('libs/bus/src/second.ts', "const kv = await import('@nats-io/kv');"),
    source('libs/bus/src/shipped.ts', "import type {\n  Clock,\n} from '@coppice/testing';"),
    source('libs/contracts/src/out.ts', "import { bus } from '../../bus/src/index.ts';"),
    source('libs/contracts/src/undeclared.ts', "import { bus } from '@coppice/bus';\nimport 'node:child_process';"),
    source('libs/contracts/src/comment.ts', "// import { bus } from '@coppice/bus';"),
  ];
  expect(checkImports(packages, planted)).toEqual([
    'libs/bus/src/deep.ts imports @coppice/contracts/src/errors.ts, which @coppice/contracts does not export',
    'libs/bus/src/shipped.ts is no test and imports @coppice/testing',
    'libs/contracts/src/out.ts reaches out of its package: ../../bus/src/index.ts',
    'libs/contracts/src/undeclared.ts imports @coppice/bus, which is no dependency in libs/contracts/package.json',
    '/^@nats-io\\// is imported by 2 files of libs/bus, allowed: 1 (libs/bus/src/good.ts, libs/bus/src/second.ts)',
    'libs/contracts/src/undeclared.ts may not import /^(node:)?child_process$/',
  ]);
});
