import { EpollDemultiplexer, PollDemultiplexer } from '../demux/index.js'
import { PosixError, UnsupportedError } from '../posix/index.js'
import { AioTransfers } from './aio.js'
import { EmulatedTransfers } from './emulated.js'
import { IoUringProcessor } from './io-uring.js'
import type { AsynchronousOperationProcessor, Backend } from './processor.js'
import { ReactiveProcessor } from './reactive.js'

/** Which backend to take; 'auto' is io_uring where it can be had, and else the emulated one. */
export type BackendChoice = 'auto' | Backend

/**
 * Opens an asynchronous operation processor.
 *
 * @param without is told why io_uring is not taken, where 'auto' does without
 * @throws PosixError or UnsupportedError where this machine lacks the backend that was asked for
 */
export function openProcessor(
  choice: BackendChoice = 'auto',
  without: (reason: string) => void = () => {},
): AsynchronousOperationProcessor {
  if (choice === 'io_uring') return new IoUringProcessor()
  if (choice === 'auto') {
    try {
      return new IoUringProcessor()
    } catch (error) {
      if (!(error instanceof PosixError || error instanceof UnsupportedError)) throw error
      without(error.message)
    }
  }
  const transfers = choice === 'aio' ? new AioTransfers() : new EmulatedTransfers()
  const demux = process.platform === 'linux' ? new EpollDemultiplexer() : new PollDemultiplexer()
  return new ReactiveProcessor(demux, transfers)
}

/** Tells what {@link openProcessor} would open here, or why it cannot. */
export function describeProcessor(choice: BackendChoice = 'auto'): string {
  try {
    const processor = openProcessor(choice)
    processor.free()
    return processor.mechanism
  } catch (error) {
    if (!(error instanceof PosixError || error instanceof UnsupportedError)) throw error
    return `none: ${error.message}`
  }
}
