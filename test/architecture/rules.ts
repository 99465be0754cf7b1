/**
 * Rules for dependencies, and their checks. The checks get the graph and the sources as arguments, so that a test can
 * pass violations.
 */
import { serviceNames } from '@coppice/contracts';
import { isTestFile } from './sources.ts';
import type { SourceFile } from './sources.ts';

const services = serviceNames.map((name) => `@coppice/${name}`);

/** Workspace packages on which each package may depend. `testing` isn't listed, since only tests may import it. */
const allowedDependencies: Readonly<Record<string, readonly string[]>> = {
  '@coppice/contracts': [],
  // `telemetry` uses only the registry of vendors, to redact their keys.
  '@coppice/telemetry': ['@coppice/contracts'],
  '@coppice/bus': ['@coppice/contracts', '@coppice/telemetry'],
  '@coppice/files': [],
  '@coppice/yaml': ['@coppice/contracts'],
  '@coppice/disk': ['@coppice/bus', '@coppice/contracts', '@coppice/service', '@coppice/telemetry'],
  '@coppice/service': ['@coppice/bus', '@coppice/contracts', '@coppice/telemetry'],
  '@coppice/durable-actor': ['@coppice/bus', '@coppice/contracts', '@coppice/telemetry'],
  '@coppice/testing': ['@coppice/contracts'],
  // The gateway's tests use this package, so it must not share code with the gateway.
  '@coppice/faulty-upstream': ['@coppice/contracts'],
  '@coppice/orchestrator': [
    '@coppice/service',
    '@coppice/durable-actor',
    '@coppice/bus',
    '@coppice/contracts',
    '@coppice/telemetry',
  ],
  '@coppice/llm-gateway': [
    '@coppice/service',
    '@coppice/yaml',
    '@coppice/bus',
    '@coppice/contracts',
    '@coppice/telemetry',
    '@coppice/faulty-upstream',
  ],
  '@coppice/worktree-service': [
    '@coppice/service',
    '@coppice/disk',
    '@coppice/files',
    '@coppice/bus',
    '@coppice/contracts',
    '@coppice/telemetry',
  ],
  '@coppice/container-service': [
    '@coppice/service',
    '@coppice/disk',
    '@coppice/files',
    '@coppice/bus',
    '@coppice/contracts',
    '@coppice/telemetry',
  ],
  // The command line can run the whole stack in one process. So it is the only package that may depend on the services.
  '@coppice/cli': [
    '@coppice/service',
    '@coppice/files',
    '@coppice/yaml',
    '@coppice/bus',
    '@coppice/contracts',
    '@coppice/telemetry',
    '@coppice/faulty-upstream',
    ...services,
  ],
};

const testingPackage = '@coppice/testing';

type VendorRule = {
  vendor: RegExp;
  /** Maximum number of files that may import the vendor, by folder or file. */
  importers: Readonly<Record<string, number>>;
};

const any = Number.POSITIVE_INFINITY;

/** Code that may import each vendor's package. Usually this is one file, so that the vendor can be replaced. */
const vendorRules: readonly VendorRule[] = [
  { vendor: /^@nats-io\//, importers: { 'libs/bus': 1 } },
  { vendor: /^nats$/, importers: {} },
  { vendor: /^dockerode$/, importers: { 'apps/container-service': 1 } },
  { vendor: /^tar(-fs|-stream)?$/, importers: { 'apps/container-service': 1 } },
  { vendor: /^undici$/, importers: { 'apps/llm-gateway': 1 } },
  { vendor: /^eventsource-parser/, importers: { 'apps/llm-gateway': 1 } },
  { vendor: /^jose$/, importers: { 'apps/llm-gateway': 1 } },
  { vendor: /^@pydantic\//, importers: { 'apps/llm-gateway': 1 } },
  { vendor: /^pino(-|$)/, importers: { 'libs/telemetry': 1 } },
  { vendor: /^@opentelemetry\//, importers: { 'libs/telemetry': any } },
  { vendor: /^xstate$/, importers: { 'libs/durable-actor': any, 'apps/orchestrator': any } },
  { vendor: /^isomorphic-git$/, importers: { 'apps/worktree-service': 1 } },
  { vendor: /^unbash$/, importers: { 'apps/orchestrator': 1 } },
  { vendor: /^commander$/, importers: { 'apps/cli': 1 } },
  { vendor: /^string-width$/, importers: { 'apps/cli': 1 } },
  { vendor: /^yaml$/, importers: { 'libs/yaml': 1 } },
  { vendor: /^p-retry$/, importers: { 'libs/service': 1 } },
  { vendor: /^semver(\/|$)/, importers: { 'libs/bus': 1, 'libs/service': 1 } },
  // `contracts` consists of schemas. The other packages parse their own files or settings.
  {
    vendor: /^zod(\/|$)/,
    importers: {
      'libs/contracts': any,
      'libs/bus': 1,
      'libs/service': any,
      'libs/durable-actor': any,
      'apps/llm-gateway': any,
      'apps/worktree-service': any,
      'apps/container-service': any,
      'apps/orchestrator': any,
      'apps/cli': any,
    },
  },
  // Code that may start programs, such as git, sandboxes and the embedded stack.
  {
    vendor: /^(node:)?child_process$/,
    importers: {
      'apps/worktree-service/src/disk/space.ts': 1,
      'apps/worktree-service/src/git/git.ts': 1,
      'apps/worktree-service/src/git/flock.ts': 1,
      'apps/worktree-service/src/setup/copy-tree.ts': 1,
      'apps/worktree-service/src/unrelated-folders.ts': 1,
      'apps/container-service/src/engine': 3,
      'apps/cli/src/stack': 4,
      'apps/cli/src/git.ts': 1,
      'apps/cli/src/demo': 2,
    },
  },
];

export type Dependency = { from: string; to: string };

/** @returns one sentence per violation */
export function checkGraph(dependencies: readonly Dependency[]): string[] {
  return dependencies.flatMap(({ from, to }) => {
    const allowed = allowedDependencies[from];
    if (allowed === undefined) return [`${from} has no entry in allowedDependencies`];
    if (to === testingPackage || allowed.includes(to)) return [];
    return [`${from} may not depend on ${to}`];
  });
}

export type WorkspacePackage = {
  name: string;
  /** Path from the checkout's root folder, such as `libs/bus`. */
  folder: string;
  /** Import specifiers that the package's `exports` allow, such as `@coppice/bus`. */
  entries: readonly string[];
  dependencies: readonly string[];
  devDependencies: readonly string[];
};

/** @returns one sentence per violation */
export function checkImports(packages: readonly WorkspacePackage[], sources: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const source of sources) {
    const owner = packages.find((candidate) => source.path.startsWith(`${candidate.folder}/`));
    if (owner === undefined) continue;
    for (const specifier of source.imports) problems.push(...checkImport(packages, owner, source, specifier));
  }
  return [...problems, ...checkVendors(sources)];
}

function checkImport(
  packages: readonly WorkspacePackage[],
  owner: WorkspacePackage,
  source: SourceFile,
  specifier: string,
): string[] {
  if (specifier.startsWith('.')) {
    const target = new URL(specifier, `file:///${source.path}`).pathname.slice(1);
    // container-service may import the program that builds the image.
    const isRootfs = owner.folder === 'apps/container-service' && target === 'deploy/agent-runtime/rootfs.js';
    return target.startsWith(`${owner.folder}/`) || isRootfs
      ? []
      : [`${source.path} reaches out of its package: ${specifier}`];
  }
  const target = packages.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
  if (target === undefined || target === owner) return [];
  if (!target.entries.includes(specifier))
    return [`${source.path} imports ${specifier}, which ${target.name} does not export`];
  if (isTestFile(source.path)) {
    const declared = [...owner.dependencies, ...owner.devDependencies].includes(target.name);
    return declared ? [] : [`${source.path} imports ${target.name}, which ${owner.folder}/package.json does not name`];
  }
  if (target.name === testingPackage) return [`${source.path} is no test and imports ${testingPackage}`];
  return owner.dependencies.includes(target.name)
    ? []
    : [`${source.path} imports ${target.name}, which is no dependency in ${owner.folder}/package.json`];
}

function checkVendors(sources: readonly SourceFile[]): string[] {
  const shipped = sources.filter((source) => !isTestFile(source.path));
  return vendorRules.flatMap(({ vendor, importers }) => {
    const files = shipped
      .filter((source) => source.imports.some((specifier) => vendor.test(specifier)))
      .map(({ path }) => path);
    const strangers = files.filter((path) => !Object.keys(importers).some((folder) => isInside(path, folder)));
    const crowded = Object.entries(importers).flatMap(([folder, limit]) => {
      const inside = files.filter((path) => isInside(path, folder));
      return inside.length > limit
        ? [`${vendor} is imported by ${inside.length} files of ${folder}, allowed: ${limit} (${inside.join(', ')})`]
        : [];
    });
    return [...strangers.map((path) => `${path} may not import ${vendor}`), ...crowded];
  });
}

function isInside(path: string, folderOrFile: string): boolean {
  return path === folderOrFile || path.startsWith(`${folderOrFile}/`);
}
