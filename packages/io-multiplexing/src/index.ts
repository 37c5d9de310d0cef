/** Servers on one event demultiplexer. */
export { type EpollOptions, epoll } from './epoll.js'
