/** The demultiplexer floor: one interface over the system calls that tell which descriptors are ready. */
export { type Demultiplexer, READABLE, WRITABLE } from './demultiplexer.js'
export { EpollDemultiplexer } from './epoll.js'
