/**
 * Checks the sandbox engine and what it enforces. Uses the running stack's report. If no stack runs, tests the engine.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { EngineReport } from '@coppice/container-service';
import { engineSettings } from '../stack/services.ts';
import type { StackStatus } from '../stack/status.ts';
import { fault, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const name = 'sandboxes';
const install =
  'install Docker or Podman and let this user use it, or bubblewrap where unprivileged user namespaces are allowed';
const answerMsMax = 30_000;
const tryAgain = 'run coppice doctor again when the machine is less busy; there is nothing to fix';
const installTrier =
  'install perl or python3, which the probe needs to make system calls; then run coppice doctor again';
const noneMeans = 'engine none, which isolates nothing';

/** @param status status of the running stack; null if none runs */
export async function checkSandboxes(status: StackStatus | null, images: string): Promise<Check> {
  if (status?.phase === 'ready') return ofStack(status);
  // Sandboxes may run as another user. That user must be able to enter the mounted folders.
  const folder = mkdtempSync(path.join(tmpdir(), 'coppice-doctor-'));
  chmodSync(folder, 0o711);
  try {
    const { chooseEngine, summaryOf } = await import('@coppice/container-service');
    const { engine, report } = await chooseEngine({
      ...engineSettings(images),
      choice: 'auto',
      dataFolder: folder,
      stateFolder: path.join(folder, 'container-service'),
      stackId: path.basename(folder).toLowerCase(),
      answerMsMax,
    });
    await engine.close();
    return checkOf(report, summaryOf(report));
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    // The error is retryable only if an engine didn't answer.
    return error.retryable ? warning(name, error.message, tryAgain) : fault(name, error.message, install);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function checkOf(report: EngineReport, summary: string): Check {
  const findings = Object.entries(report.enforces);
  const missing = findings.flatMap(([, { enforced, how }]) => (enforced === false ? [how] : []));
  const unknown = findings.flatMap(([fact, { enforced, how }]) => (enforced === null ? [`${fact}: ${how}`] : []));
  if (missing.length === 0 && unknown.length === 0) return ok(name, summary);
  const isUntriable = findings.some(([, { untriable }]) => untriable === true);
  if (missing.length === 0)
    return warning(name, `${summary} (${unknown.join('; ')})`, isUntriable ? installTrier : tryAgain);
  const why = missing.join('; ');
  // Docker enforces more than the other engines. So what Docker can't enforce on this machine, no engine can.
  const fix = report.engine === 'docker' ? `look at the machine's control groups` : `for full limits ${install}`;
  return warning(name, summary, `${fix}; why: ${why}`);
}

function ofStack(status: StackStatus): Check {
  const line = status.lines.findLast((text) => text.startsWith('container-service: '));
  const found = line?.slice('container-service: '.length) ?? `engine ${status.engine ?? 'unknown'}`;
  if (status.engine === 'none')
    return warning(name, `the stack runs with ${noneMeans}`, `${install}; then coppice down, coppice up`);
  const fix = status.engine === 'docker' ? `look at the machine's control groups` : `for full limits ${install}`;
  if (found.includes('not enforced')) return warning(name, found, fix);
  if (found.includes("can't be tried here")) return warning(name, found, installTrier);
  return found.includes('unknown') ? warning(name, found, tryAgain) : ok(name, found);
}
