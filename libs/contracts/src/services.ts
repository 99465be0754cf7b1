/**
 * A service. Lists of services derive from the registry below, which test/services.test.ts compares with files that
 * can't be derived.
 */
type Service = {
  /**
   * True if the service works on files of its host. Each host then runs its own process of the service, and commands
   * name the host.
   */
  perNode: boolean;
};

const services = {
  orchestrator: { perNode: false },
  'llm-gateway': { perNode: false },
  'worktree-service': { perNode: true },
  'container-service': { perNode: true },
} as const satisfies Record<string, Service>;

export type ServiceName = keyof typeof services;
export const serviceNames = Object.keys(services) as ServiceName[];

export type NodeServiceName = {
  [Name in ServiceName]: (typeof services)[Name]['perNode'] extends true ? Name : never;
}[ServiceName];
export const nodeServiceNames = serviceNames.filter((name): name is NodeServiceName => services[name].perNode);
