import type { FieldIssue } from '@coppice/contracts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainLine } from '../output/text.ts';
import { parseYaml } from './yaml.ts';
import type { Path, Position } from './yaml.ts';

/** The first ones tell; later ones follow from them. */
const problemsToldMax = 3;

/** The text of a run file, which knows where each field is, so that complaints name the place. */
export type Source = {
  file: string;
  value: unknown;
  complain: (issues: readonly FieldIssue[]) => CliError;
};

/** @throws CliError when it isn't YAML. `file` is what complaints call it. */
export function readSource(text: string, file: string): Source {
  const result = parseYaml(text);
  if ('problems' in result) {
    const lines = result.problems
      .slice(0, problemsToldMax)
      .map((problem) => `${place(file, problem)}: not YAML: ${plainLine(problem.message)}`);
    throw new CliError(exitCodes.badInput, lines.join('\n'));
  }
  const { value, positionOf } = result.parsed;
  return {
    file,
    value,
    complain: (issues) => {
      const placed = issues.map((issue) => ({ issue, position: positionOf(pathOf(issue.field)) }));
      const inOrder = placed.toSorted(
        (a, b) => a.position.line - b.position.line || a.position.column - b.position.column,
      );
      const lines = inOrder.map(({ issue, position }) => `${place(file, position)}: ${sentence(issue)}`);
      return new CliError(exitCodes.badInput, lines.join('\n'));
    },
  };
}

const place = (file: string, { line, column }: Position) => `${file}:${line}:${column}`;

function sentence({ field, expected, received }: FieldIssue): string {
  const name = field === '' ? 'the file' : field;
  if (expected.startsWith('no such field')) return plainLine(`${name}: there is ${expected}`);
  return plainLine(`${name}: expected ${expected}, received ${received}`);
}

/** `tasks[2].agent.kind` → tasks, 2, agent, kind. */
function pathOf(field: string): Path {
  return [...field.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, name]) =>
    index === undefined ? (name ?? '') : Number(index),
  );
}
