import { vendors } from '@coppice/contracts/vendors';
import type { VendorRegistry } from '@coppice/contracts/vendors';

/**
 * Patterns of secrets. No replacement contains part of a secret. A pattern must run in linear time, since an attacker
 * may have written the text.
 */
const secretTexts: readonly { pattern: RegExp; replacement: string }[] = [
  // Keys of GitHub, GitLab, Slack and AWS.
  {
    pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,})/g,
    replacement: '[redacted]',
  },
  { pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, replacement: '[redacted]' },
  // Tokens of the form header.payload.signature (JWT). The lookahead keeps the time linear. Without it, the pattern
  // would try each "eyJ" in a word that two more parts don't follow.
  {
    pattern: /(?<![\w-])(?=[\w-]+\.[\w-]{8,}\.)([\w-]*?)\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
    replacement: '$1[redacted]',
  },
  // Seeds of NATS keys, and private keys in PEM.
  { pattern: /\bS[UAONCX][A-Z2-7]{54,}\b/g, replacement: '[redacted]' },
  {
    pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
    replacement: '[redacted]',
  },
  // The text after the word must contain a digit, so that "basic authentication" is not redacted.
  { pattern: /\b(bearer|basic)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}/gi, replacement: '$1 [redacted]' },
  // The password in an address with any scheme: scheme://user:password@host.
  { pattern: /(:\/\/[^\s:@/"]*):[^\s@/"]+@/g, replacement: '$1:[redacted]@' },
];

const secretNames = [
  'password',
  'secret',
  'token',
  'apiKey',
  'api_key',
  'authorization',
  'credentials',
  'cookie',
  'x-api-key',
  'x-goog-api-key',
];

/** Paths of the redacted log fields, at the top level of the logged object and one or two levels below. */
export const secretFields: string[] = secretNames.flatMap((name) => {
  const field = name.includes('-') ? `["${name}"]` : name;
  const below = (parent: string) => (name.includes('-') ? `${parent}${field}` : `${parent}.${field}`);
  return [field, below('*'), below('*.*')];
});

/** Returns a function that replaces text that looks like a key, a token or a password. */
export const redactionFor = (registry: VendorRegistry) => {
  const keys = Object.values(registry).flatMap(({ key }) =>
    key === undefined ? [] : new RegExp(key.pattern, `${key.pattern.flags.replace('g', '')}g`),
  );
  return (text: string): string => withoutSecrets(keys.reduce((out, key) => out.replace(key, '[redacted]'), text));
};
export const redact = redactionFor(vendors);

function withoutSecrets(text: string): string {
  let out = text;
  for (const { pattern, replacement } of secretTexts) out = out.replace(pattern, replacement);
  return out;
}
