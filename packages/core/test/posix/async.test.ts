import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { setAsync, setIoSignal, setOwnerThread, sigrtmin } from '@cs/core/posix'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, connected, run } from './support.js'

const { SIGIO, SIGUSR1 } = constants.signals

afterEach(closeAll)

/** What stands before each program: a pair of sockets, the reading one of which signals this thread. */
const prelude = `
  import {
    errorName, getpid, gettid, POLLIN, read, setAsync, setIoSignal, setOwnerThread, SIG_BLOCK, SignalInfo, sigprocmask, sigrtmin,
    sigtimedwait, socketpair, tgkill, write, close
  } from '@cs/core/posix'
  const signal = sigrtmin(), info = new SignalInfo()
  const watch = (fd) => { setOwnerThread(fd, gettid()); setIoSignal(fd, signal); setAsync(fd, true) }
  const [a, b] = socketpair({ nonblocking: true }), byte = new Uint8Array(64)
  sigprocmask(SIG_BLOCK, [signal, ${SIGIO}, ${SIGUSR1}])
  const print = (value) => console.log(JSON.stringify(value))
`

describe.runIf(process.platform === 'linux')('a descriptor that signals', () => {
  it('says which it is and what can be done with it', () => {
    const source = `${prelude}
      watch(a)
      write(b, byte, 0, 1)
      const taken = sigtimedwait([signal], -1, info)
      print([taken === signal, info.signal === signal, info.fd === a, (info.band & POLLIN) !== 0])`
    expect(run(source)).toEqual([true, true, true, true])
  })

  it('sends a real-time signal for each event, in their order', () => {
    const source = `${prelude}
      const [c, d] = socketpair({ nonblocking: true })
      watch(a), watch(c)
      write(d, byte, 0, 1), write(b, byte, 0, 1), write(d, byte, 0, 1)
      const fds = []
      while (sigtimedwait([signal], 0, info) === signal) if (info.band & POLLIN) fds.push(info.fd === c ? 'c' : info.fd === a ? 'a' : info.fd)
      print(fds)`
    expect(run(source)).toEqual(['c', 'a', 'c'])
  })

  it('is silent before it is told to signal, and after it is told to stop', () => {
    const source = `${prelude}
      write(b, byte, 0, 1)
      watch(a)
      const before = errorName(sigtimedwait([signal], 5))
      setAsync(a, false)
      write(b, byte, 0, 1)
      print([before, errorName(sigtimedwait([signal], 5)), read(a, byte, 0, 64)])`
    expect(run(source)).toEqual(['EAGAIN', 'EAGAIN', 2])
  })

  it('signals the thread it was told to, and no other', () => {
    const source = `${prelude}
      import { Worker } from 'node:worker_threads'
      const code = [
        "import { parentPort, workerData } from 'node:worker_threads'",
        "import { gettid, SIG_BLOCK, SignalInfo, sigprocmask, sigtimedwait } from '@cs/core/posix'",
        "const info = new SignalInfo()",
        "sigprocmask(SIG_BLOCK, [workerData])",
        "parentPort.postMessage(gettid())",
        "parentPort.postMessage([sigtimedwait([workerData], 10_000, info), info.fd])",
      ].join(';')
      const worker = new Worker(code, { eval: true, workerData: signal })
      worker.once('message', (tid) => {
        setOwnerThread(a, tid), setIoSignal(a, signal), setAsync(a, true)
        write(b, byte, 0, 1)
        worker.once('message', ([theirs, fd]) => print([theirs === signal, fd === a, errorName(sigtimedwait([signal], 0))]))
      })`
    expect(run(source)).toEqual([true, true, 'EAGAIN'])
  })

  it('sends SIGIO, which names no descriptor, where the queue of signals is full', (context) => {
    context.skip(spawnSync('prlimit', ['-V']).status !== 0, 'prlimit (util-linux) is not installed')
    const source = `${prelude}
      import { execFileSync } from 'node:child_process'
      execFileSync('prlimit', ['--pid', String(process.pid), '--sigpending=0'])
      watch(a)
      write(b, byte, 0, 1)
      print([sigtimedwait([signal, ${SIGIO}], 10_000, info), info.fd, info.band, errorName(sigtimedwait([signal], 0))])`
    expect(run(source)).toEqual([SIGIO, -1, 0, 'EAGAIN'])
  })

  it('is not taken for the signal of something else', () => {
    const source = `${prelude}
      tgkill(getpid(), gettid(), ${SIGUSR1})
      print([sigtimedwait([${SIGUSR1}], -1, info), info.signal, info.fd, info.band])`
    expect(run(source)).toEqual([SIGUSR1, SIGUSR1, -1, 0])
  })

  it('refuses a thread that is not there and a signal that is none', () => {
    const { server } = connected()
    expect(sigrtmin()).toBeGreaterThan(31)
    expect(() => setOwnerThread(server, 0x7fffffff)).toThrow(expect.objectContaining({ code: 'ESRCH' }))
    expect(() => setOwnerThread(server, 0)).toThrow(RangeError)
    expect(() => setIoSignal(server, 65)).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'fcntl' }))
    expect(() => setIoSignal(server, Number.NaN)).toThrow(RangeError)
    expect(() => setAsync(-1, true)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })
})
