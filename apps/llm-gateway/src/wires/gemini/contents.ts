import { acceptableName, argumentsObject } from '../acceptable-history.ts';
import type { ProviderImage, ProviderMessage, ProviderPart } from '../../provider/port.ts';

type WirePart = {
  text?: string;
  thought?: true;
  inlineData?: { mimeType: string; data: string };
  fileData?: { mimeType?: string; fileUri: string };
  functionCall?: { id: string; name: string; args: object };
  functionResponse?: { id: string; name: string; response: object };
  thoughtSignature?: string;
};
type WireContent = { role: 'user' | 'model'; parts: WirePart[] };

/** A content as a client wrote it. Its field names are in camel case or snake case. */
export type OwnContent = { role?: unknown; parts?: readonly object[] | null | undefined };

/**
 * Google's placeholder signature. Newer models reject tool calls without a signature, and calls of other providers'
 * models have none.
 */
const foreignSignature = 'skip_thought_signature_validator';

/**
 * Maps a conversation. `signed` is true for models that require signatures. `systemInstruction` contains all system
 * messages, since `contents` can't contain any. It is null if there are none.
 */
export function contentsOf(
  messages: readonly ProviderMessage[],
  { signed }: { signed: boolean },
): { systemInstruction: { parts: WirePart[] } | null; contents: WireContent[] } {
  const system = messages.filter(({ role }) => role === 'system').flatMap(({ content }) => textParts(content));
  const contents: WireContent[] = [];
  let lastRole: ProviderMessage['role'] | null = null;
  for (const { role, content } of messages) {
    if (role === 'system') continue;
    const parts = role === 'assistant' ? answerParts(content, signed) : userParts(content);
    // The API rejects a content without parts.
    if (parts.length === 0) continue;
    const last = contents.at(-1);
    // The API requires that one content has the results of all tool calls of an answer.
    if (role === 'tool' && lastRole === 'tool' && last !== undefined) for (const part of parts) last.parts.push(part);
    else contents.push({ role: role === 'assistant' ? 'model' : 'user', parts });
    lastRole = role;
  }
  for (const content of contents) content.parts = resultsFirst(content.parts);
  return { systemInstruction: system.length === 0 ? null : { parts: system }, contents };
}

function answerParts(content: readonly ProviderPart[], signed: boolean): WirePart[] {
  let calls = 0;
  return content.flatMap((part): WirePart[] => {
    if (part.type === 'tool-result' || part.type === 'image') return [];
    const signature = part.signature?.wire === 'gemini' ? { thoughtSignature: part.signature.value } : {};
    const isSigned = 'thoughtSignature' in signature;
    if (part.type === 'text') return part.text === '' && !isSigned ? [] : [{ text: part.text, ...signature }];
    // The model can't use unsigned thinking.
    if (part.type === 'thinking') return isSigned ? [{ text: part.text, thought: true, ...signature }] : [];
    const functionCall = { id: part.id, name: nameOf(part.name), args: argumentsObject(part.arguments) };
    // Google signs only the first of parallel tool calls.
    const isFirst = calls++ === 0;
    return [{ functionCall, ...(isFirst && signed && !isSigned ? { thoughtSignature: foreignSignature } : signature) }];
  });
}

/**
 * Adds the placeholder signature to the first tool call of each answer, if the call has none. A client wrote the
 * contents in this wire format.
 */
export function signedContents(contents: readonly OwnContent[]): OwnContent[] {
  let called = false;
  return contents.map((content) => {
    if (content.role !== 'model') called = false;
    const parts = content.role === 'model' && !called ? content.parts : null;
    const first = (parts ?? []).findIndex((part) => 'functionCall' in part || 'function_call' in part);
    const call = parts?.[first];
    if (call === undefined) return content;
    called = true;
    if ('thoughtSignature' in call || 'thought_signature' in call) return content;
    return { ...content, parts: parts?.with(first, { ...call, thoughtSignature: foreignSignature }) };
  });
}

function userParts(content: readonly ProviderPart[]): WirePart[] {
  return content.flatMap((part): WirePart[] => {
    if (part.type === 'image') return [imagePart(part.image)];
    // Not all models accept images in a tool result, so they follow the result.
    return part.type === 'tool-result' ? [resultPart(part), ...(part.images ?? []).map(imagePart)] : textParts([part]);
  });
}

function resultsFirst(parts: readonly WirePart[]): WirePart[] {
  const isResult = ({ functionResponse }: WirePart) => functionResponse !== undefined;
  return [...parts.filter(isResult), ...parts.filter((part) => !isResult(part))];
}

function resultPart({ callId, name, content, isError }: Extract<ProviderPart, { type: 'tool-result' }>): WirePart {
  const response = isError ? { error: content } : { output: content };
  return { functionResponse: { id: callId, name: nameOf(name), response } };
}

const textParts = (content: readonly ProviderPart[]): WirePart[] =>
  content.flatMap((part): WirePart[] => (part.type === 'text' && part.text !== '' ? [{ text: part.text }] : []));

function imagePart(image: ProviderImage): WirePart {
  if ('base64' in image) return { inlineData: { mimeType: image.mediaType, data: image.base64 } };
  const { mediaType, url } = image;
  return { fileData: { ...(mediaType === undefined ? {} : { mimeType: mediaType }), fileUri: url } };
}

/**
 * Converts a function's name to one that the API accepts. The API rejects a name that begins with a digit or a dash.
 */
const nameOf = (name: string): string => {
  const acceptable = acceptableName(name);
  return /^[a-zA-Z_]/.test(acceptable) ? acceptable : `_${acceptable}`.slice(0, 64);
};
