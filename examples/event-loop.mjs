/**
 * The order within a turn of the event loop: I/O, timers, signals, tasks, then Node's own loop. The model event-loop serves on
 * the same loop. Run it with node examples/event-loop.mjs
 */
import { READABLE } from '@cs/core/demux'
import { EventLoop } from '@cs/core/loop'
import { close, recv, send, socketpair } from '@cs/core/posix'

const loop = new EventLoop({ demultiplexer: 'epoll', wakeup: 'eventfd', budget: 1024 })
const [ours, theirs] = socketpair({ nonblocking: true })
const buffer = new Uint8Array(16)
const order = []

loop.watch(ours, READABLE, () => {
  recv(ours, buffer, 0, buffer.length)
  order.push('I/O')
})
loop.setTimer(0, () => order.push('timer'))
loop.onSignal('SIGUSR2', () => order.push('signal'))
loop.post(() => {
  order.push('task')
  Promise.resolve().then(() => order.push('promise'))
  loop.post(() => {
    order.push('task of the next turn')
    loop.setTimer(20, () => {
      order.push('later timer')
      loop.stop()
    })
    loop.setTimer(10, () => order.push('sooner timer'))
  })
})

send(theirs, Buffer.from('x'), 0, 1)
process.emit('SIGUSR2', 'SIGUSR2')
await loop.run()
console.log(order.join(', '))
close(ours)
close(theirs)
