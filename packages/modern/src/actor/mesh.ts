/**
 * The transport between threads of one process: an inbox for each, a ring of records in shared memory that all others write, and
 * a wakeup that ends the wait of its owner.
 *
 *   sender:  write the record ─▶ owner asleep, and nobody woke it? signal       owner: look ─▶ say asleep ─▶ look again ─▶ wait
 *
 * So a burst costs one system call, and none where the owner is busy.
 */

import { Socket } from 'node:net'
import { type SharedWakeup, Wakeup, type WakeupKind } from '@cs/core/demux'
import { duplicate } from '@cs/core/posix'
import { RecordRing, registerShareable, type Shareable, type Shared } from '@cs/core/sync'
import type { Transport } from './transport.js'

const KIND = 'actor-mesh'

/** The last number that was given to an actor. Any thread adds. */
const NUMBER = 0
/** Written once, before the mesh is shared: see {@link Transport}. */
const POOL = 1
/** Then for each node: */
const CELLS = 3
/** True while the owner sleeps, or is about to, and nobody has woken it. It sets it; who wakes it takes it down, or itself. */
const ASLEEP = 2
/** Actors on it, as of its last turn. The owner writes. */
const ACTORS = 3
/** True while somebody has it. */
const RESERVED = 4

/** Bytes of a record at most; a ring should have room for several. */
const LARGEST_RECORD = 64 * 1024

interface Inbox {
  readonly ring: RecordRing
  readonly wakeup: Wakeup
}

interface SharedMesh extends Shared {
  readonly inboxes: readonly { readonly ring: Shared; readonly wakeup: SharedWakeup }[]
}

export interface MeshSettings {
  /** Nodes, from 1 on, for actors whose dispatcher is the pool. Default: 0. */
  readonly pool?: number
  /** Bytes of records that may wait for a node. Default: 1 MiB. */
  readonly capacity?: number
  /** How a node is woken: 'socketpair' where it runs Node's loop, any where it waits itself. Default: 'socketpair'. */
  readonly wakeup?: WakeupKind
}

export class Mesh implements Shareable {
  readonly #cells: Int32Array
  readonly #inboxes: readonly Inbox[]

  private constructor(buffer: SharedArrayBuffer, inboxes: readonly Inbox[]) {
    this.#cells = new Int32Array(buffer)
    this.#inboxes = inboxes
  }

  /** Makes inboxes for so many nodes; {@link dispose} gives their descriptors back. @throws PosixError */
  static create(nodes: number, settings: MeshSettings = {}): Mesh {
    const { pool = 0, capacity = 1 << 20, wakeup = 'socketpair' } = settings
    const inboxes: Inbox[] = []
    try {
      while (inboxes.length < nodes) inboxes.push({ ring: RecordRing.create(capacity), wakeup: Wakeup.open(wakeup) })
    } catch (error) {
      for (const inbox of inboxes) inbox.wakeup.close()
      throw error
    }
    const mesh = new Mesh(new SharedArrayBuffer(4 * (ASLEEP + nodes * CELLS)), inboxes)
    mesh.#cells[POOL] = pool
    return mesh
  }

  /** Opens the mesh that another thread shared. Any thread. */
  static from(shared: Shared): Mesh {
    const { kind, buffer, inboxes } = shared as SharedMesh
    if (kind !== KIND) throw new TypeError(`expected a ${KIND}; the kind given is '${kind}'`)
    return new Mesh(
      buffer,
      inboxes.map(({ ring, wakeup }) => ({ ring: RecordRing.from(ring), wakeup: Wakeup.from(wakeup) })),
    )
  }

  share(): Shared {
    const shared: SharedMesh = {
      kind: KIND,
      buffer: this.#cells.buffer as SharedArrayBuffer,
      inboxes: this.#inboxes.map(({ ring, wakeup }) => ({ ring: ring.share(), wakeup: wakeup.share() })),
    }
    return shared
  }

  /** What becomes readable when there is something for a node. */
  wakeupOf(node: number): Wakeup {
    return this.#inboxes[node].wakeup
  }

  /** The side of one node, which is that thread's only. */
  at(node: number): Transport {
    const cells = this.#cells
    const inboxes = this.#inboxes
    const { ring, wakeup } = inboxes[node]
    return {
      node,
      nodes: inboxes.length,
      pool: cells[POOL],
      largest: Math.min(LARGEST_RECORD, ring.capacity),
      allocate: () => Atomics.add(cells, NUMBER, 1) + 1,
      send(to, record) {
        const outcome = inboxes[to].ring.tryWrite(record)
        if (outcome !== 'written') return outcome
        // An owner that says so only after this sees the record when it looks again.
        if (Atomics.exchange(cells, ASLEEP + to * CELLS, 0) === 1) inboxes[to].wakeup.signal()
        return 'sent'
      },
      receive(into) {
        const length = ring.tryReadInto(into)
        return typeof length === 'string' ? -1 : length
      },
      get hasMail() {
        return ring.used > 0
      },
      listen: () => void Atomics.store(cells, ASLEEP + node * CELLS, 1), // whoever sends from here on signals
      awake: () => void Atomics.store(cells, ASLEEP + node * CELLS, 0), // nobody need signal
      woken: () => void wakeup.drain(),
      watch: (callback) => watch(wakeup, node, callback),
      report: (actors) => void Atomics.store(cells, ACTORS + node * CELLS, actors), // for whoever places the next
      actorsOn: (other) => Atomics.load(cells, ACTORS + other * CELLS),
      reserve(from, to) {
        for (let each = from; each < to; each++) {
          if (Atomics.compareExchange(cells, RESERVED + each * CELLS, 0, 1) === 0) return each
        }
        return undefined
      },
      free: (other) => void Atomics.store(cells, RESERVED + other * CELLS, 0), // others may take it from here on
    }
  }

  /** Gives the descriptors back, once no thread uses them. */
  dispose(): void {
    for (const { wakeup } of this.#inboxes) wakeup.close()
  }
}

/** Has libuv watch one end of a socketpair (it takes no eventfd), a duplicate, which is closed if the thread dies. */
function watch(wakeup: Wakeup, node: number, callback: () => void): () => void {
  const read = (): boolean => {
    callback()
    return true
  }
  const options = { fd: duplicate(wakeup.fd), readable: true, onread: { buffer: new Uint8Array(64), callback: read } }
  const socket = new Socket(options as ConstructorParameters<typeof Socket>[0]).on('error', () => {}).resume()
  if (node === 0) socket.unref() // the process may end when nothing but this is left
  return () => void socket.destroy()
}

registerShareable(KIND, Mesh)
