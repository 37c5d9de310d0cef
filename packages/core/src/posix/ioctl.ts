/** ioctl(2), as far as it tells how full a descriptor's queues are. */
import { descriptor } from './bounds.js'
import { declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({ ioctl: 'int ioctl(int fd, unsigned long request, ...)' })

const count = new Int32Array(1)

function ask(fd: number, request: number): number {
  const result = outcome(c.ioctl(descriptor(fd), request, 'void*', count))
  return result < 0 ? result : (count[0] as number)
}

/** How many bytes can be read at once, or a negative errno (-ENOTTY, -EINVAL: it does not say). man 2 ioctl, FIONREAD */
export function bytesToRead(fd: number): number {
  return ask(fd, platform.FIONREAD)
}

/** How many bytes of a socket were not yet sent or acknowledged, or a negative errno. Any thread. man 2 ioctl, TIOCOUTQ */
export function bytesToSend(fd: number): number {
  return ask(fd, platform.TIOCOUTQ)
}
