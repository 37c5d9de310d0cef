/**
 * The libuv loop under the calling thread, through what the node binary exports. A thread that owns its own epoll loop
 * watches `fd` there, waits no longer than `timeout()`, and gives libuv a turn when either says so.
 */
import { UnsupportedError } from './errors.js'
import { declare } from './ffi.js'

const c = declare({
  // v8::Isolate::GetCurrent() and node::GetCurrentEventLoop(Isolate*), by their mangled names.
  isolate: 'uintptr_t _ZN2v87Isolate10GetCurrentEv()',
  loop: 'uintptr_t _ZN4node19GetCurrentEventLoopEPN2v87IsolateE(uintptr_t isolate)',
  uv_backend_fd: 'int uv_backend_fd(uintptr_t loop)',
  uv_backend_timeout: 'int uv_backend_timeout(uintptr_t loop)',
  uv_update_time: 'void uv_update_time(uintptr_t loop)',
  uv_loop_alive: 'int uv_loop_alive(uintptr_t loop)',
  uv_loop_fork: 'int uv_loop_fork(uintptr_t loop)',
})

/** The libuv loop of one thread. */
export interface UvLoop {
  /** Readable when libuv has something to do: its epoll or kqueue descriptor. Changes with `fork()`. */
  readonly fd: number
  /**
   * Returns the ms until libuv's next timer, 0 where it has something to do now (an immediate, a watcher not yet
   * registered), -1 where nothing is due or the loop is not alive. Brings libuv's clock up to date first.
   */
  timeout(): number
  /** True while there is something that libuv would wait for. */
  readonly alive: boolean
  /** Gives a forked child an epoll and a thread pool of its own: 0 or a negative errno. The child only. */
  fork(): number
}

let known: UvLoop | undefined

/** Returns the calling thread's libuv loop, or undefined where node does not export what that takes. Never throws. */
export function uvLoop(): UvLoop | undefined {
  try {
    known ??= open()
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
  }
  return known
}

function open(): UvLoop | undefined {
  const loop = c.loop(c.isolate())
  if (loop === 0 || c.uv_backend_fd(loop) < 0) return undefined
  timeoutOf(loop) // finds a missing symbol now, not at the first wait
  return {
    get fd() {
      return c.uv_backend_fd(loop)
    },
    get alive() {
      return c.uv_loop_alive(loop) !== 0
    },
    timeout: () => timeoutOf(loop),
    fork: () => c.uv_loop_fork(loop),
  }
}

function timeoutOf(loop: number): number {
  c.uv_update_time(loop)
  // A loop that is not alive reports 0, as if something were due.
  return c.uv_loop_alive(loop) === 0 ? -1 : c.uv_backend_timeout(loop)
}
