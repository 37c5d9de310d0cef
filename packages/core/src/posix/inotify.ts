/** inotify(7): what happens to files. Linux only. */
import { descriptor, text } from './bounds.js'
import { check, declare, outcome } from './ffi.js'
import { platform } from './platform.js'

const c = declare({
  inotify_init1: 'int inotify_init1(int flags)',
  inotify_add_watch: 'int inotify_add_watch(int fd, const char* path, uint32_t mask)',
  inotify_rm_watch: 'int inotify_rm_watch(int fd, int watch)',
  read: 'int read(int fd, void* buffer, size_t length)',
})

/** Its bytes changed. */
export const IN_MODIFY: number = 0x2
/** Its attributes or its number of links changed. */
export const IN_ATTRIB: number = 0x4
/** A name in the directory was moved away. */
export const IN_MOVED_FROM: number = 0x40
/** A name was moved into the directory. */
export const IN_MOVED_TO: number = 0x80
/** A name appeared in the directory. */
export const IN_CREATE: number = 0x100
/** A name went from the directory. */
export const IN_DELETE: number = 0x200
/** It is gone: no name and no descriptor is left. */
export const IN_DELETE_SELF: number = 0x400
/** It was renamed. */
export const IN_MOVE_SELF: number = 0x800
/** More happened than the queue could hold (always told, of watch -1). */
export const IN_Q_OVERFLOW: number = 0x4000
/** The watch is gone, with its file or by inotify_rm_watch (always told). */
export const IN_IGNORED: number = 0x8000

/** Makes an inotify descriptor, non-blocking, close-on-exec. Any thread. man 2 inotify_init1 @throws PosixError */
export function inotify_init1(): number {
  return check(c.inotify_init1(platform.O_CLOEXEC | platform.O_NONBLOCK), 'inotify_init1')
}

/** Watches a file for IN_…: the number of the watch, one a file, or a negative errno. Any thread. man 2 inotify_add_watch */
export function inotify_add_watch(fd: number, path: string, mask: number): number {
  return outcome(c.inotify_add_watch(descriptor(fd), text(path, 'path'), mask))
}

/** Ends a watch: 0 or a negative errno. Any thread. man 2 inotify_rm_watch */
export function inotify_rm_watch(fd: number, watch: number): number {
  return outcome(c.inotify_rm_watch(descriptor(fd), watch))
}

// struct inotify_event { int wd; uint32_t mask, cookie, len; char name[len] }, padded to whole words.
const WATCH = 0
const MASK = 1
const LENGTH = 3
const HEAD = 4
const words = new Int32Array(1024)

/**
 * Takes what has happened: calls `each` with watch and mask, and returns how often, or a negative errno (-EAGAIN:
 * nothing happened). Owner thread only. man 7 inotify
 */
export function readInotify(fd: number, each: (watch: number, mask: number) => void): number {
  const n = outcome(c.read(descriptor(fd), words, words.byteLength))
  if (n < 0) return n
  let count = 0
  for (let i = 0; 4 * i < n; i += HEAD + ((words[i + LENGTH] as number) >> 2)) {
    each(words[i + WATCH] as number, words[i + MASK] as number)
    count++
  }
  return count
}
