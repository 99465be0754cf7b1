export const serviceName = 'worktree-service';
