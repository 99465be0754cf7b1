const ofTheGateway = /^(COPPICE_)?OPENAI_/;

/**
 * Takes the variables of model providers, keys among them, out of an environment: the gateway alone is to know them, not the programs that the
 * stack starts (nats-server, git, sandboxes).
 */
export function takeGatewayEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const taken: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!ofTheGateway.test(name)) continue;
    taken[name] = value;
    delete environment[name];
  }
  return taken;
}
