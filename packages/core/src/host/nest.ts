/**
 * A server within a server: the roles that a process of it runs on threads of its own.
 *
 *   host ── its unit, a process: runThreads ── a supervisor ── threads
 *
 * The process is a unit like any other for the host, and does nothing but supervise: its main thread stays in Node's event loop. What
 * its threads count is copied into the cells of the unit, which the host sees. The listening socket is all processes': it is shut when
 * the server stops, not when one process ends (see `within` of UnitBoot).
 */

import { sumOf, writeCounts } from '../connection/index.js'
import { ConnectionTable, type Listener } from '../socket/index.js'
import { dehydrate } from '../sync/index.js'
import { Control } from './control.js'
import { findRole, type ThreadPlan } from './role.js'
import { bindPopulation, type RolePlan } from './seat.js'
import { Sockets } from './sockets.js'
import { Supervisor, slotsFor } from './supervisor.js'
import type { UnitBoot } from './unit-run.js'

/** Milliseconds after which the host sees at the latest what the threads have done. */
const COPY_MS = 100

/** The host has the deadlines, for start and stop, and kills the process. */
const NEVER_MS = 2 ** 31 - 1

/** What of its process the supervisor of threads needs. */
export interface Nest {
  readonly boot: UnitBoot
  readonly listener: Listener
  readonly stopping: () => boolean
  /** The cells of the unit. */
  readonly counters: Float64Array
  readonly ready: () => void
  readonly acceptedLast: () => void
}

/** Runs roles on threads until the process is to end; see RoleContext.threads. */
export async function runThreads({ shared, counts }: ThreadPlan, nest: Nest): Promise<void> {
  const { boot, listener, stopping, counters, ready, acceptedLast } = nest
  const table = ConnectionTable.create()
  const roles = Object.entries(counts).map(([name, count]) => planOf(name, count, shared, table, boot))
  const supervisor = new Supervisor({
    model: boot.model,
    roles,
    control: Control.create(slotsFor(roles), false),
    sockets: Sockets.adopt(listener, acceptedLast),
    table,
    app: undefined,
    startTimeout: NEVER_MS,
    release: () => closeAll(shared),
    log: (message) => void process.stderr.write(`${message}\n`),
  })
  const drain = (): void => {
    if (stopping()) supervisor.drain(NEVER_MS)
  }
  await supervisor.start()
  ready()
  listener.onStop = drain
  drain() // it may have been told before
  const copying = setInterval(copy, COPY_MS)
  try {
    await supervisor.ended
  } finally {
    clearInterval(copying)
    copy()
  }

  function copy(): void {
    writeCounts(counters, sumOf([supervisor.former, ...supervisor.seats.map((seat) => seat.counts)]))
  }
}

/** The threads of a role are told what their process was told, but for what they share. */
function planOf(name: string, count: number, shared: object, table: ConnectionTable, boot: UnitBoot): RolePlan {
  const role = findRole(boot.model, name)
  const accepts = role.accepts !== false
  return {
    place: 'thread',
    count,
    resizable: undefined,
    numbered: role.numbered ?? false,
    population: bindPopulation(role, shared),
    accepts,
    blocks: accepts && role.blocking === true,
    ownSocket: false,
    heartbeat: 0,
    flags: [],
    children: undefined,
    boot: {
      ...boot,
      role: name,
      ownsDescriptors: false,
      within: boot.control,
      shared: dehydrate<unknown>(shared),
      table: table.share(),
    },
  }
}

/** Closes what the threads share and can be closed: whoever is blocked on it wakes. */
function closeAll(shared: object): void {
  for (const each of Object.values(shared)) (each as { close?: () => void } | null)?.close?.()
}
