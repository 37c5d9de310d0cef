/**
 * A shop whose till fails and is restarted, while its ledger, on another thread, keeps what it was told. node examples/actor.mjs
 */
import { isMainThread } from 'node:worker_threads'
import { ActorSystem, Behaviors } from '@cs/modern/actor'

/** Adds up; made by name, on whatever thread. */
export function ledger() {
  let total = 0
  return Behaviors.receive((_, message) => {
    if (typeof message === 'number') total += message
    else message.replyTo.tell(total)
    return Behaviors.same
  })
}

const till = (book) =>
  Behaviors.setup(() => {
    let sales = 0 // begins anew with each restart
    return Behaviors.receive((_, { price, replyTo }) => {
      if (replyTo !== undefined) replyTo.tell(sales)
      else if (price < 0) throw new RangeError('a price is no debt')
      else {
        sales++
        book.tell(price)
      }
      return Behaviors.same
    })
  })

if (isMainThread) {
  const system = new ActorSystem({ threads: 1, log: (what, error) => console.log(`${what}: ${error}`) })
  const book = system.spawn(Behaviors.fromModule(import.meta.url, 'ledger'), { name: 'ledger', dispatcher: 'pool' })
  const desk = system.spawn(till(book), { name: 'till', mailbox: { capacity: 100 } })
  for (const price of [5, 10, -1, 20]) desk.tell({ price })
  const sales = await system.ask(desk, (replyTo) => ({ replyTo }), 1000)
  const total = await system.ask(book, (replyTo) => ({ replyTo }), 1000)
  console.log(`${sales} sale since the restart, ${total} in the ledger on thread ${book.node}`)
  await system.terminate()
}
