/** What dockerode puts before the daemon's own words. */
const ofDockerode = /^\(HTTP code \d+\) [a-z ]+ - /;

/** The message of whatever was thrown, as a person reads it. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(ofDockerode, '');
}

/** The operating system's code (`ENOENT` …) of whatever was thrown. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
