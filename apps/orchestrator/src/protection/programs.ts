import { buildTools } from './ecosystems/build-tools.ts';
import { cargo, dotnet, elixir, go, others, swift } from './ecosystems/compiled.ts';
import { jvm } from './ecosystems/jvm.ts';
import { node } from './ecosystems/node.ts';
import { python } from './ecosystems/python.ts';
import { perl, php, ruby } from './ecosystems/scripting.ts';
import { readers, shell } from './ecosystems/shell.ts';
import type { Program } from './program.ts';

/** All ecosystems. A new one needs a file in `ecosystems/` and a line here. */
export const ecosystems = {
  shell,
  readers,
  node,
  python,
  cargo,
  go,
  jvm,
  dotnet,
  ruby,
  php,
  perl,
  elixir,
  swift,
  buildTools,
  others,
};

const programs = new Map<string, Program>(Object.values(ecosystems).flatMap((each) => Object.entries(each)));

const nameCharactersMax = 100;

/**
 * Finds a program by its name without folders. Versions are removed, so `python3.12` finds `python3` and `jest@29`
 * finds `jest`.
 */
export function programNamed(name: string): Program | undefined {
  // The time for matching the patterns grows with the square of the length.
  if (name.length > nameCharactersMax) return undefined;
  return (
    programs.get(name) ??
    programs.get(name.replace(/-?\d+(\.\d+)*$/, '')) ??
    programs.get(name.replace(/\.\d+$/, '')) ??
    programs.get(name.replace(/(?<=.)@.*$/, ''))
  );
}
