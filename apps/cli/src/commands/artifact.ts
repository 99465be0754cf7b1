import { artifactNameSchema } from '@coppice/contracts';
import { readArtifact } from '../artifacts.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { plainLine, plainText } from '../output/text.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

/**
 * `coppice artifact NAME`: prints an artifact. A terminal gets the text without control characters. A pipe or file gets
 * the unchanged bytes.
 */
export function artifactCommand(session: Session, name: string): CommandResult {
  const { terminal } = session;
  if (!artifactNameSchema.safeParse(name).success) {
    const expected = 'the name of an artifact, as coppice show or a transcript has it';
    throw new CliError(exitCodes.badInput, `${plainLine(name)}: expected ${expected}`);
  }
  return withClient(session, async (client) => {
    const bytes = await readArtifact(client, name);
    if (bytes === null)
      throw new CliError(exitCodes.badInput, `there is no artifact ${name} of tenant ${client.tenant}`);
    if (terminal.interactive) terminal.out(plainText(new TextDecoder().decode(bytes)).trimEnd());
    else terminal.write(bytes);
    return exitCodes.done;
  });
}
