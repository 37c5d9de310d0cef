/**
 * How records go from node to node of a system: the seam beneath references to actors that are elsewhere. Nodes are threads of
 * this process by {@link Mesh}; another transport may reach other processes or machines.
 *
 *   send      in the order in which they were sent, each record whole and once, to a node that is there; 'full' means later
 *   receive   reads what has come into a buffer of at least `largest` bytes, the oldest first; its length, -1 where nothing has
 *   listen    says that this thread is about to sleep, and is to be woken by whatever comes from here on; before a last look
 *   awake     says that it looks by itself; after it was woken, too
 *   woken     takes the signal that woke it, where it waits itself; whenever there is one, or the next wait ends at once
 *   allocate  a number that no other actor of the system has, 1 to 2^31 - 1
 */
export interface Transport {
  /** The number of this node, from 0; 0 is the one that starts and ends the others. */
  readonly node: number
  /** How many nodes there may be; those from 1 to `pool` are for anybody, those beyond for actors that are pinned. */
  readonly nodes: number
  readonly pool: number
  /** Bytes of the largest record. */
  readonly largest: number
  allocate(): number
  /** Does not wait. */
  send(node: number, record: Uint8Array): 'sent' | 'full' | 'closed'
  receive(into: Uint8Array): number
  /** Whether something has come. */
  readonly hasMail: boolean
  listen(): void
  awake(): void
  woken(): void
  /** Calls back, on this thread, when something has come; for a thread that runs Node's loop. Returns what ends that. */
  watch(callback: () => void): () => void
  /** Says how many actors live on this node, and hears it of another. */
  report(actors: number): void
  actorsOn(node: number): number
  /** Takes the first free node of a range for itself, undefined where there is none; and gives one back. */
  reserve(from: number, to: number): number | undefined
  free(node: number): void
}
