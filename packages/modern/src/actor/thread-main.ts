/** The first module of a thread of actors. */

import { workerData } from 'node:worker_threads'
import { bindAll, setThreadName } from '@cs/core/posix'
import { Mesh } from './mesh.js'
import { ActorSystem } from './system.js'
import type { ThreadData } from './threads.js'

const { mesh, node, budget } = workerData as ThreadData

bindAll()
setThreadName(`cs:actors ${node}`)
const system = new ActorSystem({ transport: Mesh.from(mesh).at(node), budget })
await system.terminated
process.exit()
