/**
 * What an event demultiplexer promises, whichever system call is behind it.
 *
 *   add(fd, interest)      watch a descriptor; one that is watched already is watched anew
 *   modify(fd, interest)   change what it is watched for; 0 keeps it watched for errors only
 *   remove(fd)             stop watching; must come before close(2), since descriptors are reused at once
 *   wait(timeout)          < 0 until something is ready, 0 not at all, > 0 at most that many milliseconds;
 *                          returns how many descriptors are ready, 0 where none is or a signal came
 *   fd(i), ready(i)        the i-th of them and its readiness, valid until the next wait
 *   close()                give the descriptors of the demultiplexer itself back
 *
 * Level-triggered unless a backend says otherwise: what was not consumed is reported again. A descriptor with an error or
 * a hang-up is reported as readable and writable, so that whoever reads or writes next meets the error.
 * A demultiplexer is used by one thread, but add, modify and remove of epoll and kqueue may come from any.
 */
export interface Demultiplexer {
  readonly name: string
  add(fd: number, interest: number): void
  modify(fd: number, interest: number): void
  remove(fd: number): void
  wait(timeoutMs: number): number
  fd(i: number): number
  ready(i: number): number
  close(): void
}

/** Interest and readiness, the same numbers as what a connection waits for. */
export const READABLE = 1
export const WRITABLE = 2
