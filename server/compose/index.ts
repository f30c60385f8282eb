export { composeErrors } from './errors.ts'
export { ComposeExecutor, changedService } from './executor.ts'
export { emptyLaunchConfig } from './service-keys.ts'
export { readStack, type ServiceDefinition, type StackDefinition } from './stack-definition.ts'
