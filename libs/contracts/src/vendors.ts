/** This file imports nothing, since the redaction of logs imports it alone, as `@coppice/contracts/vendors`. */

/** A vendor of models or a model server, configured by environment variables. */
export type Vendor<Wire extends string = string> = {
  /** The wire format of each of its providers, by the part of `provider/model` before the slash. */
  providers: Readonly<Record<string, Wire>>;
  baseUrl: string;
  address: {
    variable: string;
    /**
     * The value of `variable`. `url` means an address that replaces `baseUrl`. `host` means a host, with the port of
     * `baseUrl` by default. With `host`, the vendor has a provider only if the variable is set.
     */
    form: 'url' | 'host';
  };
  key?: {
    /**
     * Variables for the key, in the order of precedence. Errors name the first. With `_FILE` appended, the variable
     * names a file with the key.
     */
    variables: readonly [string, ...string[]];
    /** Pattern of the vendor's keys, for redaction. The time for matching must be linear. */
    pattern: RegExp;
  };
  /** Prefixes of the vendor's variables, which only the gateway gets. */
  prefixes: readonly string[];
  /** Lines for `coppice --help`. */
  help: readonly string[];
  /** Text that `coppice doctor` adds to the name of the key's variable. */
  keyNote?: string;
};
export type VendorRegistry<Wire extends string = string> = Readonly<Record<string, Vendor<Wire>>>;

/** The vendors. Variables, help, doctor's texts and redaction derive from this registry. */
export const vendors = {
  // There is one provider for each wire format, since not every OpenAI model supports both.
  openai: {
    providers: { openai: 'openai-chat', 'openai-responses': 'openai-responses' },
    baseUrl: 'https://api.openai.com/v1',
    address: { variable: 'OPENAI_BASE_URL', form: 'url' },
    key: { variables: ['OPENAI_API_KEY'], pattern: /\bsk-[A-Za-z0-9_-]{16,}/ },
    prefixes: ['OPENAI_'],
    help: [
      'the model provider "openai"; read when the stack starts',
      '(and "openai-responses", with OpenAI\'s other wire format)',
    ],
    keyNote: '(and OPENAI_BASE_URL for another provider than OpenAI)',
  },
  anthropic: {
    providers: { anthropic: 'anthropic' },
    baseUrl: 'https://api.anthropic.com',
    address: { variable: 'ANTHROPIC_BASE_URL', form: 'url' },
    key: { variables: ['ANTHROPIC_API_KEY'], pattern: /\bsk-ant-[A-Za-z0-9_-]{12,}/ },
    prefixes: ['ANTHROPIC_'],
    help: ['the model provider "anthropic"'],
  },
  gemini: {
    providers: { gemini: 'gemini' },
    baseUrl: 'https://generativelanguage.googleapis.com',
    address: { variable: 'GEMINI_BASE_URL', form: 'url' },
    // Google's own programs read the second variable.
    key: { variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'], pattern: /\bAIza[\w-]{30,}/ },
    prefixes: ['GEMINI_', 'GOOGLE_API_'],
    help: ['the model provider "gemini"'],
  },
  ollama: {
    providers: { ollama: 'ollama' },
    baseUrl: 'http://127.0.0.1:11434',
    address: { variable: 'OLLAMA_HOST', form: 'host' },
    prefixes: [],
    help: ['the model provider "ollama", such as 127.0.0.1:11434'],
  },
} as const satisfies VendorRegistry;

/** Returns the variables of a vendor. Each variable for a key is followed by the variable for the key's file. */
export const variablesOf = ({ address, key }: Vendor): string[] => [
  address.variable,
  ...(key?.variables ?? []).flatMap((variable) => [variable, `${variable}_FILE`]),
];

/** True for a variable of a vendor, even if the gateway doesn't read it. */
export const isVendorVariable = (name: string, registry: VendorRegistry = vendors): boolean =>
  Object.values(registry).some(
    (vendor) => variablesOf(vendor).includes(name) || vendor.prefixes.some((prefix) => name.startsWith(prefix)),
  );

/** Returns the variable for the key of each provider, by the provider's name. */
export const keyVariablesIn = (registry: VendorRegistry): ReadonlyMap<string, string> =>
  new Map(
    Object.values(registry).flatMap(({ providers, key }) =>
      key === undefined ? [] : Object.keys(providers).map((name) => [name, key.variables[0]] as const),
    ),
  );
