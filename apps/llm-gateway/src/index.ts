export { startLlmGateway } from './service.ts';
export type { LlmGatewayOptions } from './service.ts';
export { gatewayOptions, gatewayOptionsFrom, gatewayVariables } from './configuration.ts';
export { turnPoints } from './ingress/turn/turn.ts';
export type { TurnPoint } from './ingress/turn/turn.ts';
export { readCount } from './provider/scripted/count.ts';
export type { CountLine } from './provider/scripted/count.ts';
export type { ProviderServer } from './transport/provider-server.ts';
export type {
  FinishReason,
  ModelDelta,
  ModelRequest,
  Provider,
  ProviderMessage,
  ProviderPart,
  ProviderToolCall,
  RequestContext,
  UsageSoFar,
} from './provider/port.ts';
