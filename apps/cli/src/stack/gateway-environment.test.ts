import { expect, test } from 'vitest';
import { takeGatewayEnvironment } from './gateway-environment.ts';

test('only the gateway gets the variables of model providers', () => {
  const environment = {
    PATH: '/bin',
    OPENAI_API_KEY: 'k1',
    OPENAI_BASE_URL: 'http://127.0.0.1:1/v1',
    COPPICE_OPENAI_PROVIDERS: 'a=http://127.0.0.1:2/v1',
    COPPICE_OPENAI_KEY_A: 'k2',
    ANTHROPIC_API_KEY: 'k5',
    GEMINI_API_KEY: 'k6',
    GOOGLE_API_KEY: 'k7',
    OLLAMA_HOST: '127.0.0.1',
    COPPICE_GATEWAY_CONFIG: 'gateway.yaml',
    COPPICE_GATEWAY_KEY_GROQ: 'k8',
    OTHER_API_KEY: 'k3',
    MY_OPENAI_API_KEY: 'k4',
  };
  expect(Object.keys(takeGatewayEnvironment(environment))).toEqual([
    'OPENAI_API_KEY',
    'OPENAI_BASE_URL',
    'COPPICE_OPENAI_PROVIDERS',
    'COPPICE_OPENAI_KEY_A',
    'ANTHROPIC_API_KEY',
    'GEMINI_API_KEY',
    'GOOGLE_API_KEY',
    'OLLAMA_HOST',
    'COPPICE_GATEWAY_CONFIG',
    'COPPICE_GATEWAY_KEY_GROQ',
  ]);
  expect(environment).toEqual({ PATH: '/bin', OTHER_API_KEY: 'k3', MY_OPENAI_API_KEY: 'k4' });
});
