import type { Demultiplexer, Trigger } from './demultiplexer.js'
import { EpollDemultiplexer } from './epoll.js'
import { describeKqueue } from './kqueue/kqueue.js'
import { KqueueDemultiplexer } from './kqueue.js'
import { PollDemultiplexer } from './poll.js'
import { SelectDemultiplexer } from './select.js'
import type { WakeupKind } from './wakeup.js'

/** The system calls that one can wait in. */
export type DemultiplexerName = 'select' | 'poll' | 'epoll' | 'kqueue'

export interface DemultiplexerSettings {
  /** Default: 'epoll' on Linux, else 'kqueue'. */
  readonly demultiplexer?: DemultiplexerName
  /** Default: 'level'; 'edge' with epoll and kqueue only. */
  readonly trigger?: Trigger
  /** How other threads end the wait. Default: 'eventfd' where there is one, else 'pipe'. */
  readonly wakeup?: WakeupKind
}

/** The names, in the order in which the calls came into the world; kqueue last, which Linux emulates. */
export const DEMULTIPLEXERS: readonly DemultiplexerName[] = ['select', 'poll', 'epoll', 'kqueue']

export const DEFAULT_DEMULTIPLEXER: DemultiplexerName = process.platform === 'linux' ? 'epoll' : 'kqueue'

/** Opens the demultiplexer of that name. @throws RangeError for edges where there are none, UnsupportedError, PosixError */
export function openDemultiplexer(settings: DemultiplexerSettings = {}): Demultiplexer {
  const { demultiplexer: name = DEFAULT_DEMULTIPLEXER, trigger = 'level', wakeup } = settings
  const given = wakeup === undefined ? {} : { wakeup }
  if (name === 'epoll') return new EpollDemultiplexer({ trigger, ...given })
  if (name === 'kqueue') return new KqueueDemultiplexer({ trigger, ...given })
  if (trigger === 'edge') throw new RangeError(`${name}(2) knows no edges: use epoll or kqueue`)
  return name === 'poll' ? new PollDemultiplexer(given) : new SelectDemultiplexer(given)
}

/** Tells which system call that is on this machine, in words: 'epoll', or 'kqueue, emulated over …'. */
export function describeDemultiplexer(name: DemultiplexerName): string {
  return name === 'kqueue' ? `kqueue, ${describeKqueue('auto')}` : name
}
