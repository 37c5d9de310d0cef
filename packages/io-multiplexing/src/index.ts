/** Servers on one event demultiplexer. */
export { type EpollOptions, epoll } from './epoll.js'
export { type KqueueOptions, kqueue } from './kqueue.js'
export { type PollOptions, poll } from './poll.js'
export { type SelectOptions, select } from './select.js'
