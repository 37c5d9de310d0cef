/**
 * EVFILT_VNODE by inotify, one watch an inode; what inotify leaves open, fstat(2) tells. Differs from kqueue in this:
 *
 *   NOTE_DELETE   of a directory comes when its last descriptor is closed, so never while it is watched by one
 *   NOTE_LINK     of a file is a change of its number of links; two between two looks that cancel out are not seen
 *   NOTE_EXTEND   likewise compares sizes: grown and cut between two looks is NOTE_WRITE alone
 *   NOTE_REVOKE   and what FreeBSD has beyond is refused with ENOTSUP
 *
 * A descriptor that was closed, or is another file's by now, is noticed when something happens to the file.
 */
import { fstatSync, type Stats } from 'node:fs'
import {
  EBADF,
  EINVAL,
  ENOTSUP,
  EV_CLEAR,
  EVFILT_VNODE,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  inotify_add_watch,
  inotify_init1,
  inotify_rm_watch,
  type KeventList,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_WRITE,
  PosixError,
  readInotify,
} from '../../posix/index.js'
import type { Descriptors } from './descriptors.js'
import { type Attachment, type Knote, Knotes } from './knotes.js'

const TOLD = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME
const NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
const WATCHED = IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | NAMES

/** A file as it was when it was looked at last. */
interface Seen {
  readonly watch: number
  readonly knote: Knote
  /** NOTE_… that happened and were not told yet. */
  pending: number
  stats: Stats
}

/** The knotes of EVFILT_VNODE and what happened to their files. */
export class VnodeFilter implements Attachment {
  readonly knotes: Knotes = new Knotes(this)
  readonly #descriptors: Descriptors
  readonly #files = new Map<Knote, Seen>()
  /** The tag of the inotify descriptor, 0 while nothing is watched. */
  #inotify = 0

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors
  }

  /** True where there is something to tell without waiting. */
  get hasPending(): boolean {
    for (const { pending, knote } of this.#files.values()) if (knote.enabled && pending & knote.fflags) return true
    return false
  }

  /** Writes the events from entry `n` on, as far as there is room; returns how many. */
  collect(events: KeventList, n: number, capacity: number): number {
    let count = 0
    for (const file of this.#files.values()) {
      const { knote, pending } = file
      if (n + count === capacity) break
      const notes = pending & knote.fflags
      if (!knote.enabled || notes === 0) continue
      if (!isSame(file.stats, look(knote.ident))) {
        this.knotes.delete(knote)
        continue
      }
      events.set(n + count++, knote.ident, EVFILT_VNODE, knote.flags, notes, 0, knote.udata)
      if (knote.flags & EV_CLEAR) file.pending = 0
      this.knotes.told(knote)
    }
    return count
  }

  attach(knote: Knote): void {
    const known = this.#files.get(knote)
    if (knote.fflags & ~TOLD) throw new PosixError('kevent', -ENOTSUP)
    const stats = look(knote.ident)
    if (stats === undefined) throw new PosixError('kevent', -EBADF)
    if (!stats.isFile() && !stats.isDirectory()) throw new PosixError('kevent', -EINVAL)
    if (known !== undefined && isSame(known.stats, stats)) return
    this.detach(knote)
    this.#files.set(knote, { watch: this.#watch(knote.ident), knote, stats, pending: 0 })
  }

  arm(): void {}

  detach(knote: Knote): void {
    const file = this.#files.get(knote)
    if (file === undefined) return
    this.#files.delete(knote)
    if (this.#files.size === 0) return this.#close()
    for (const { watch } of this.#files.values()) if (watch === file.watch) return
    inotify_rm_watch(this.#descriptors.fd(this.#inotify), file.watch)
  }

  #watch(fd: number): number {
    if (this.#inotify === 0) this.#open()
    // The link in /proc leads to the inode itself, under whatever name or none.
    const watch = inotify_add_watch(this.#descriptors.fd(this.#inotify), `/proc/self/fd/${fd}`, WATCHED)
    if (watch >= 0) return watch
    if (this.#files.size === 0) this.#close()
    throw new PosixError('inotify_add_watch', watch)
  }

  #open(): void {
    this.#inotify = this.#descriptors.add(inotify_init1(), () => this.#drain())
    this.#descriptors.arm(this.#inotify, true)
  }

  #close(): void {
    this.#descriptors.remove(this.#inotify)
    this.#inotify = 0
  }

  #drain(): 0 {
    const fd = this.#descriptors.fd(this.#inotify)
    while (readInotify(fd, (watch, mask) => this.#happened(watch, mask)) > 0);
    return 0 // what happened is pending now; `collect` tells it
  }

  #happened(watch: number, mask: number): void {
    if (mask & IN_IGNORED) return
    for (const file of this.#files.values()) {
      if (file.watch !== watch) continue
      const now = look(file.knote.ident)
      if (now === undefined || !isSame(file.stats, now)) this.knotes.delete(file.knote)
      else file.pending |= notesOf(mask, file.stats, (file.stats = now))
    }
  }
}

function notesOf(mask: number, before: Stats, now: Stats): number {
  let notes = 0
  if (mask & (IN_MODIFY | NAMES)) notes |= NOTE_WRITE
  if (now.size > before.size && now.isFile()) notes |= NOTE_EXTEND | NOTE_WRITE
  if (now.nlink !== before.nlink) notes |= now.nlink === 0 ? NOTE_DELETE | NOTE_LINK : NOTE_LINK
  else if (mask & IN_ATTRIB) notes |= NOTE_ATTRIB
  if (mask & IN_DELETE_SELF) notes |= NOTE_DELETE
  return mask & IN_MOVE_SELF ? notes | NOTE_RENAME : notes
}

function look(fd: number): Stats | undefined {
  try {
    return fstatSync(fd)
  } catch {
    return undefined // it is not open
  }
}

function isSame(a: Stats, b: Stats | undefined): boolean {
  return a.dev === b?.dev && a.ino === b.ino
}
