/** The host floor: where roles run, how they are started, watched, replaced and stopped. */
export { AppError, appUrl, loadApp } from './app.js'
export { Binding } from './binding.js'
export { CLOSE, Control, ENDED, LEAVE, READY, STARTING, STAY, type UnitCells } from './control.js'
export {
  type Bounds,
  onProcess,
  onThread,
  onThreadOrCaller,
  type Place,
  type Population,
  type Role,
  type RoleContext,
  type RoleSettings,
  type Roles,
  registerRoles,
  type StopSignal,
  type ThreadPlan,
} from './role.js'
export { type BoundPopulation, bindPopulation, type RoleBoot, type RolePlan, Seat } from './seat.js'
export { Sockets } from './sockets.js'
export { ServerError, Supervisor, type SupervisorOptions, slotsFor } from './supervisor.js'
export {
  type Affinity,
  failure,
  type ProcessBoot,
  runUnit,
  type Scheduling,
  type ThreadBoot,
  type UnitBoot,
  type UnitMessage,
} from './unit-run.js'
