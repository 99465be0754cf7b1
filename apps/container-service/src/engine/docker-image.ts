/**
 * Provides container images. An image is found, pulled, built from the Dockerfile, or imported from a local root file
 * system.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { isDefaultImage, localRootfs, localRootfsKey, runtimeFolder } from './local-image.ts';
import { reasonOf } from './reason.ts';

/** The part of dockerode's client that this module uses. Only docker.ts imports dockerode. */
export interface ImageClient {
  getImage(name: string): {
    inspect(): Promise<{ Id: string }>;
    tag(options: { repo: string; tag: string }): Promise<unknown>;
  };
  pull(name: string): Promise<NodeJS.ReadableStream>;
  buildImage(
    context: { context: string; src: string[] },
    options: { t: string; dockerfile: string },
  ): Promise<NodeJS.ReadableStream>;
  importImage(file: NodeJS.ReadableStream, options: Record<string, string>): Promise<NodeJS.ReadableStream>;
}

/** Time in milliseconds without output, after which a pull or build fails. */
const silenceMsMax = 60_000;
const lineBytesMax = 1024 * 1024;

const underWay = new Map<string, Promise<{ id: string; origin: string }>>();

/**
 * Makes an image available. Concurrent calls in one process share the work. Concurrent processes repeat the work, with
 * the same result.
 */
export async function ensureDockerImage(
  client: ImageClient,
  image: string,
  imagesFolder: string,
  onProgress: (line: string) => void,
): Promise<{ id: string; origin: string }> {
  const found =
    underWay.get(image) ??
    (isDefaultImage(image)
      ? ensureDefault(client, imagesFolder, onProgress)
      : ensureOther(client, image, onProgress)
    ).finally(() => underWay.delete(image));
  underWay.set(image, found);
  return await found;
}

async function find(client: ImageClient, image: string): Promise<string | undefined> {
  try {
    return (await client.getImage(image).inspect()).Id;
  } catch (error) {
    if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return undefined;
    throw new CoppiceError('sandbox-failed', `the Docker daemon can't report image ${image}: ${reasonOf(error)}`);
  }
}

async function ensureOther(client: ImageClient, image: string, onProgress: (line: string) => void) {
  const existing = await find(client, image);
  if (existing !== undefined) return { id: existing, origin: 'found in the Docker daemon' };
  try {
    const name = /[:@][^/]*$/.test(image) ? image : `${image}:latest`;
    onProgress(`pulling ${name}`);
    await follow(await client.pull(name), onProgress);
  } catch (error) {
    throw new CoppiceError(
      'image-not-found',
      `image ${image} is not in the Docker daemon and can't be pulled: ${reasonOf(error)}`,
    );
  }
  const pulled = await find(client, image);
  if (pulled === undefined)
    throw new CoppiceError('image-not-found', `image ${image} is missing although it was pulled`);
  return { id: pulled, origin: 'pulled' };
}

/** Makes the default image available. The image's tag is a hash of its sources, so changed sources give a new image. */
async function ensureDefault(client: ImageClient, imagesFolder: string, onProgress: (line: string) => void) {
  const repository = 'coppice/agent-runtime';
  const tag = await localRootfsKey();
  const name = `${repository}:${tag}`;
  const existing = await find(client, name);
  if (existing !== undefined) return { id: existing, origin: `found in the Docker daemon as ${name}` };
  const tried: string[] = [];
  for (const [origin, make] of [
    ['built from deploy/agent-runtime/Dockerfile', () => buildDefault(client, name, onProgress)],
    ["imported from this machine's own programs", () => importLocal(client, repository, tag, imagesFolder, onProgress)],
  ] as const) {
    try {
      await make();
      const made = await find(client, name);
      if (made === undefined) throw new Error('the daemon reported no error, but the image is missing');
      await client.getImage(name).tag({ repo: repository, tag: 'latest' });
      onProgress(`${name} was ${origin}`);
      return { id: made, origin };
    } catch (error) {
      const reason = `not ${origin}: ${reasonOf(error)}`;
      tried.push(reason);
      onProgress(reason);
    }
  }
  throw new CoppiceError('image-not-found', `image ${repository} can't be made; ${tried.join('; ')}`);
}

async function buildDefault(client: ImageClient, name: string, onProgress: (line: string) => void): Promise<void> {
  onProgress(`building ${name}`);
  const context = { context: runtimeFolder, src: ['Dockerfile'] };
  await follow(await client.buildImage(context, { t: name, dockerfile: 'Dockerfile' }), onProgress);
}

async function importLocal(
  client: ImageClient,
  repository: string,
  tag: string,
  imagesFolder: string,
  onProgress: (line: string) => void,
): Promise<void> {
  const folder = await localRootfs(imagesFolder, onProgress);
  onProgress(`importing ${folder}`);
  const tar = spawn('tar', ['--create', '--numeric-owner', '--owner=0', '--group=0', '--directory', folder, '.'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  tar.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-2_000)));
  const ended = new Promise<void>((resolve, reject) => {
    tar.once('error', reject);
    tar.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar exited with ${code}: ${complaint}`))));
  });
  await Promise.all([
    ended,
    client.importImage(tar.stdout, { repo: repository, tag }).then((stream) => follow(stream, onProgress)),
  ]);
}

/** Reads a progress stream to its end, one JSON object per line. Throws the error that the stream reports. */
async function follow(stream: NodeJS.ReadableStream, onProgress: (line: string) => void): Promise<void> {
  const iterator = (stream as Readable)[Symbol.asyncIterator]();
  let rest = '';
  for (;;) {
    const silent = new AbortController();
    const next = await Promise.race([
      iterator.next(),
      sleep(silenceMsMax, undefined, { signal: silent.signal, ref: false }).then(
        () => 'silent' as const,
        () => 'silent' as const,
      ),
    ]);
    silent.abort();
    if (next === 'silent') {
      (stream as Readable).destroy();
      throw new Error(`no progress in ${silenceMsMax / 1000} s`);
    }
    if (next.done === true) return;
    rest += String(next.value);
    if (rest.length > lineBytesMax) throw new Error('a progress line is too long');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) report(line, onProgress);
  }
}

function report(line: string, onProgress: (line: string) => void): void {
  if (line.trim() === '') return;
  const event = JSON.parse(line) as { error?: string; stream?: string; status?: string; progressDetail?: object };
  if (event.error !== undefined) throw new Error(event.error.trim());
  const text = (event.stream ?? event.status ?? '').trim();
  // Skips byte counts, which arrive many times a second.
  if (text !== '' && Object.keys(event.progressDetail ?? {}).length === 0) onProgress(text);
}
