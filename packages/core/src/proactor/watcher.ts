import { READABLE } from '../demux/index.js'
import type { Watcher } from '../loop/index.js'
import type { AsynchronousOperationProcessor } from './processor.js'

/** Lets a processor watch descriptors for who knows demultiplexers alone; `ready` is called with each that is readable. */
export function watcherOn(processor: AsynchronousOperationProcessor, ready: (fd: number) => void): Watcher {
  const watch = (fd: number, interest: number): void => {
    if (interest === READABLE) processor.watch(fd, { ready })
    else processor.cancel(fd)
  }
  return { trigger: 'level', add: watch, modify: watch, remove: (fd) => processor.cancel(fd) }
}
