import type { ProviderImage } from '../../provider/port.ts';

/** Returns the image of a `data:`, http or https URL. Returns null for any other value. */
export function imageOf(address: unknown): ProviderImage | null {
  if (typeof address !== 'string') return null;
  const [, mediaType, base64] = /^data:(image\/[a-z0-9.+-]{1,64});base64,(.+)$/is.exec(address) ?? [];
  if (mediaType !== undefined && base64 !== undefined) return { mediaType: mediaType.toLowerCase(), base64 };
  return /^https?:\/\//i.test(address) && URL.canParse(address) ? { url: address } : null;
}
