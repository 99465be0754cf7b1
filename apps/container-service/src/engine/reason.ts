/** Prefix that dockerode puts before the daemon's message. */
const ofDockerode = /^\(HTTP code \d+\) [a-z ]+ - /;

/** Returns the message of a thrown value, for people. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(ofDockerode, '');
}

/** Returns the operating system's error code (`ENOENT` …) of a thrown value. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
