/** The proactor floor: asynchronous operations, their completions, and HTTP connections that are driven by them. */
export { Acceptor } from './acceptor.js'
export { AioTransfers } from './aio.js'
export { EmulatedTransfers } from './emulated.js'
export { IoUringProcessor, type IoUringProcessorSettings } from './io-uring.js'
export { type BackendChoice, describeProcessor, openProcessor } from './open.js'
export {
  type AcceptHandler,
  type AsynchronousOperationProcessor,
  type Backend,
  type ReadHandler,
  type TimerHandler,
  type WatchHandler,
  WRITE_BYTES,
  type WriteHandler,
} from './processor.js'
export { ReactiveProcessor, type Transfers } from './reactive.js'
export { AsynchronousTransport } from './transport.js'
export { watcherOn } from './watcher.js'
