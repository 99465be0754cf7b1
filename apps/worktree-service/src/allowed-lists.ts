import { readFileSync } from 'node:fs';
import { tenantSchema } from '@coppice/contracts';
import { ConfigurationError } from '@coppice/service';
import { z } from 'zod';
import { AllowedRepositories } from './repository/allowed-repositories.ts';

/** Environment variables that limit which repositories each tenant may use. If neither is set, every repository is allowed. */
export const allowedVariables = {
  /** JSON object of repository patterns by tenant, such as `{"acme": ["/srv/acme/*"]}`. */
  COPPICE_ALLOWED_REPOSITORIES: z.string().optional(),
  /** Path of a file with such a JSON object. If it is set, COPPICE_ALLOWED_REPOSITORIES is ignored. */
  COPPICE_ALLOWED_REPOSITORIES_FILE: z.string().optional(),
};

const listsSchema = z.record(tenantSchema, z.array(z.string()).max(1_000));
const expected = 'JSON with patterns by tenant, such as {"acme": ["/srv/acme/*", "https://git.example.com/acme/**"]}';

/** @throws ConfigurationError */
export function allowedRepositoriesFrom(
  configuration: z.output<z.ZodObject<typeof allowedVariables>>,
): AllowedRepositories {
  const { COPPICE_ALLOWED_REPOSITORIES: text, COPPICE_ALLOWED_REPOSITORIES_FILE: file } = configuration;
  if (file !== undefined) return parse(textOf(file), 'COPPICE_ALLOWED_REPOSITORIES_FILE');
  return text === undefined ? new AllowedRepositories(null) : parse(text, 'COPPICE_ALLOWED_REPOSITORIES');
}

function parse(text: string, field: string): AllowedRepositories {
  const wrong = (received: string) => new ConfigurationError([{ field, expected, received }]);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw wrong(`a text that is not JSON: ${(error as Error).message}`);
  }
  const lists = listsSchema.safeParse(content);
  if (!lists.success)
    throw wrong(lists.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  try {
    return new AllowedRepositories(lists.data);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong(`a pattern that can't be used: ${error.message}`);
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const received = `${file}, which can not be read (${(error as Error).message})`;
    throw new ConfigurationError([
      { field: 'COPPICE_ALLOWED_REPOSITORIES_FILE', expected: 'a readable JSON file', received },
    ]);
  }
}
