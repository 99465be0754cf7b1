import type { ServedWire } from '../../transport/wire.ts';
import type { OriginalRequest } from '../../provider/port.ts';
import { passedOn, requestBody } from './request.ts';
import { MessageReader } from './response.ts';
import { listedIds } from '../tolerant.ts';

/** Anthropic's Messages API, and compatible servers. */
export const anthropic: ServedWire = {
  name: 'anthropic',
  framing: 'server-sent-events',
  path: () => 'v1/messages',
  headers: (original) => ({ 'anthropic-version': '2023-06-01', ...ofTheVendor(original) }),
  keyHeaders: (key) => ({ 'x-api-key': key }),
  body: requestBody,
  passOn: passedOn,
  reader: (about) => new MessageReader(about),
  models: {
    path: 'v1/models?limit=1000',
    names: listedIds,
  },
};

/**
 * Returns the client's `anthropic-version` and `anthropic-beta` headers. Without them, the API could reject fields that
 * the client set.
 */
const ofTheVendor = (original: OriginalRequest | null): Record<string, string> =>
  Object.fromEntries(Object.entries(original?.headers ?? {}).filter(([name]) => name.startsWith('anthropic-')));
