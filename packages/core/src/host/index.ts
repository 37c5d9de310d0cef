/** The host floor: where roles run, how they are started, watched, replaced and stopped. */
export { AppError, appUrl, loadApp } from './app.js'
export { Control, ENDED, READY, STARTING, type UnitCells } from './control.js'
export {
  onProcess,
  onThread,
  onThreadOrCaller,
  type Place,
  type Role,
  type RoleContext,
  type RoleSettings,
  type Roles,
  registerRoles,
  type StopSignal,
} from './role.js'
export { ServerError, Supervisor, type SupervisorOptions, stopFdFor, type UnitPlan } from './supervisor.js'
export type { UnitBoot, UnitMessage } from './unit-run.js'
