import type { Cell } from './cell.js'
import type { Address } from './ref.js'
import type { SystemMessage } from './system-message.js'

/** The address of an actor on this thread. */
export class LocalRef<in Message = never> implements Address<Message> {
  readonly cell: Cell

  constructor(cell: Cell) {
    this.cell = cell
  }

  get path(): string {
    return this.cell.path
  }

  get node(): number {
    return this.cell.system.node
  }

  get id(): number {
    return this.cell.id
  }

  tell(message: Message): void {
    this.cell.deliver(message)
  }

  async offer(message: Message): Promise<void> {
    while (this.cell.isFull) await this.cell.room()
    this.cell.deliver(message)
  }

  signal(signal: SystemMessage): void {
    this.cell.signal(signal)
  }

  toString(): string {
    return this.path
  }
}
