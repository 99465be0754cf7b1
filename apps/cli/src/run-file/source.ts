import type { FieldIssue } from '@coppice/contracts';
import { parseYaml } from '@coppice/yaml';
import type { YamlPlace } from '@coppice/yaml';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainLine } from '../output/text.ts';

/** Number of problems that are reported. Later problems often result from the first ones. */
const problemsShownMax = 3;

/** `complain` makes an error with the file, line and column of each field. */
export type Source = {
  file: string;
  value: unknown;
  complain: (issues: readonly FieldIssue[]) => CliError;
};

/** Parses a run file. @param file name of the file in error messages @throws CliError if the text isn't YAML */
export function readSource(text: string | Uint8Array, file: string): Source {
  const yaml = parseYaml(text);
  if ('problems' in yaml) {
    const lines = yaml.problems
      .slice(0, problemsShownMax)
      .map((problem) => `${placeIn(file, problem.place)}: not YAML: ${plainLine(problem.message)}`);
    throw new CliError(exitCodes.badInput, lines.join('\n'));
  }
  const { value, placeOf } = yaml;
  return {
    file,
    value,
    complain: (issues) => {
      const placed = issues.map((issue) => ({ issue, place: placeOf(issue.field) }));
      const inOrder = placed.toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
      const lines = inOrder.map(({ issue, place }) => `${placeIn(file, place)}: ${sentence(issue)}`);
      return new CliError(exitCodes.badInput, lines.join('\n'));
    },
  };
}

const placeIn = (file: string, { line, column }: YamlPlace) => `${file}:${line}:${column}`;

function sentence({ field, expected, received }: FieldIssue): string {
  const name = field === '' ? 'the file' : field;
  if (expected.startsWith('no such field')) return plainLine(`${name}: there is ${expected}`);
  return plainLine(`${name}: expected ${expected}, received ${received}`);
}
