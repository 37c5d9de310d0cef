import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { getpid, getppid, gettid, kill, tgkill, uvLoop, waitpid } from '@cs/core/posix'
import { describe, expect, it } from 'vitest'
import { outputOf, run } from './support.js'

const { SIGTERM, SIGUSR1, SIGUSR2 } = constants.signals
const onLinux = process.platform === 'linux'

describe.runIf(onLinux)('fork', () => {
  it('returns twice, and the child leaves by _exit with its code', () => {
    const source = `
      import { fork, waitpid, _exit, getppid, getpid } from '@cs/core/posix'
      const parent = getpid()
      const pid = fork()
      if (pid === 0) _exit(getppid() === parent && getpid() !== parent ? 42 : 1)
      const ended = waitpid(pid)
      console.log(JSON.stringify({ code: ended.code, same: ended.pid === pid }))`
    expect(run(source, ['--single-threaded'])).toEqual({ code: 42, same: true })
  })

  it('lets javascript and its collector run in the child', () => {
    const source = `
      import { fork, waitpid, _exit, pipe2, write, read } from '@cs/core/posix'
      const [reader, writer] = pipe2()
      const pid = fork()
      if (pid === 0) {
        let kept = []
        for (let i = 0; i < 2e6; i++) { kept.push({ i }); if (kept.length > 1e5) kept = [] }
        const said = Buffer.from('child ' + kept.length)
        write(writer, said, 0, said.length)
        _exit(0)
      }
      const ended = waitpid(pid), buffer = Buffer.alloc(64), n = read(reader, buffer, 0, 64)
      console.log(JSON.stringify({ code: ended.code, said: buffer.toString('utf8', 0, n) }))`
    expect(run(source, ['--single-threaded'])).toMatchObject({ code: 0, said: expect.stringMatching(/^child \d+$/) })
  })

  it('is compiled for good before it is first called: a page that V8 maps meanwhile is missing in the child', () => {
    const source = `
      import { fork, waitpid, _exit } from '@cs/core/posix'
      for (let i = 0; i < 3; i++) {
        const pid = fork()
        if (pid === 0) _exit(0)
        waitpid(pid)
      }`
    const traces = outputOf(source, ['--single-threaded', '--trace-opt', '--trace-deopt'])
    expect(traces).toMatch(/completed compiling .*<JSFunction advised .*TURBOFAN/)
    expect(traces).not.toMatch(/(bailout|deoptimizing).*<JSFunction advised /)
  })

  it('tells a child that a signal ended', () => {
    const source = `
      import { fork, waitpid, kill, getpid, defaultSignal } from '@cs/core/posix'
      const pid = fork()
      if (pid === 0) { defaultSignal(${SIGTERM}); kill(getpid(), ${SIGTERM}); for (;;); }
      console.log(JSON.stringify(waitpid(pid).signal))`
    expect(run(source, ['--single-threaded'])).toBe(SIGTERM)
  })

  it('is collected without hanging where nothing has ended', () => {
    const source = `
      import { fork, waitpid, _exit, pipe2, read, write } from '@cs/core/posix'
      const [reader, writer] = pipe2(), byte = new Uint8Array(1)
      const pid = fork()
      if (pid === 0) { read(reader, byte, 0, 1); _exit(3) }
      const before = waitpid(pid, { nohang: true })
      write(writer, byte, 0, 1)
      console.log(JSON.stringify([before, waitpid(-1).code]))`
    expect(run(source, ['--single-threaded'])).toEqual([0, 3])
  })

  it('gives the child a libuv loop of its own', () => {
    const source = `
      import { promises } from 'node:fs'
      import { fork, waitpid, _exit, uvLoop } from '@cs/core/posix'
      const loop = uvLoop()
      const pid = fork()
      if (pid === 0) {
        if (loop.fork() !== 0) _exit(1)
        await new Promise((done) => setTimeout(done, 5))
        _exit((await promises.readFile('package.json', 'utf8')).includes('koffi') ? 7 : 2)
      }
      console.log(JSON.stringify(waitpid(pid).code))`
    expect(run(source, ['--single-threaded'])).toBe(7)
  })
})

describe('processes', () => {
  it('know their ids', () => {
    expect(getpid()).toBe(process.pid)
    expect(getppid()).toBe(process.ppid)
    expect(gettid()).toBeGreaterThan(0)
  })

  it('are signalled by number', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    kill(child.pid as number, 0)
    kill(child.pid as number, SIGTERM)
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGTERM')
    expect(() => kill(child.pid as number, SIGTERM)).toThrow(
      expect.objectContaining({ code: 'ESRCH', syscall: 'kill' }),
    )
  })

  it('without children say so', () => {
    expect(() => waitpid(process.pid)).toThrow(expect.objectContaining({ code: 'ECHILD', syscall: 'waitpid' }))
  })

  it.runIf(onLinux)('signal one of their threads', async () => {
    const received = once(process, 'SIGUSR2')
    tgkill(getpid(), gettid(), SIGUSR2)
    expect(await received).toEqual(['SIGUSR2', SIGUSR2])
  })

  it.runIf(onLinux)('die with their parent when they ask for it', () => {
    const source = `
      import { fork, waitpid, _exit, pipe2, read, write, close, getppid, setParentDeathSignal } from '@cs/core/posix'
      const [reader, writer] = pipe2(), byte = new Uint8Array(1)
      const middle = fork()
      if (middle === 0) {
        const [ready, say] = pipe2()
        if (fork() === 0) { setParentDeathSignal(9); write(say, byte, 0, 1); for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000) }
        read(ready, byte, 0, 1)
        _exit(0)
      }
      waitpid(middle)
      close(writer)
      console.log(JSON.stringify(read(reader, byte, 0, 1)))` // end of file: the grandchild, which held the pipe, is gone
    expect(run(source, ['--single-threaded'])).toBe(0)
  })
})

describe.runIf(onLinux)('threads', () => {
  it('carry their name where the system shows it', () => {
    const source = `
      import { readFileSync } from 'node:fs'
      import { Worker } from 'node:worker_threads'
      import { getThreadName, gettid, setThreadName } from '@cs/core/posix'
      const code = [
        "import { parentPort } from 'node:worker_threads'",
        "import { readFileSync } from 'node:fs'",
        "import { getThreadName, gettid, setThreadName } from '@cs/core/posix'",
        "setThreadName('cs:worker 2')",
        "parentPort.postMessage([gettid(), getThreadName(), readFileSync('/proc/self/task/' + gettid() + '/comm', 'utf8')])",
      ].join(';')
      setThreadName('cs:a name that is far too long')
      const comm = readFileSync('/proc/self/task/' + gettid() + '/comm', 'utf8')
      new Worker(code, { eval: true }).on('message', ([tid, name, theirs]) => {
        console.log(JSON.stringify({ mine: getThreadName(), comm, name, theirs, other: tid !== gettid() }))
      })`
    expect(run(source)).toEqual({
      mine: 'cs:a name that ',
      comm: 'cs:a name that \n',
      name: 'cs:worker 2',
      theirs: 'cs:worker 2\n',
      other: true,
    })
  })
})

describe.runIf(onLinux)('signals', () => {
  it('are read from a descriptor', () => {
    const source = `
      import { close, getpid, gettid, tgkill, readSignal, SIG_BLOCK, SIG_SETMASK, signalfd, sigprocmask, errorName } from '@cs/core/posix'
      const before = sigprocmask(SIG_BLOCK, [${SIGUSR1}, ${SIGUSR2}])
      const fd = signalfd([${SIGUSR1}, ${SIGUSR2}])
      const none = errorName(readSignal(fd))
      tgkill(getpid(), gettid(), ${SIGUSR2})
      const read = readSignal(fd)
      close(fd)
      console.log(JSON.stringify({ none, read, blocked: sigprocmask(SIG_SETMASK, before), before, after: sigprocmask(SIG_BLOCK, []) }))`
    const result = run(source) as Record<string, unknown>
    expect(result).toMatchObject({ none: 'EAGAIN', read: SIGUSR2, blocked: [SIGUSR1, SIGUSR2] })
    expect(result.after).toEqual(result.before)
  })

  it('are waited for', () => {
    const source = `
      import { getpid, gettid, tgkill, SIG_BLOCK, sigprocmask, sigtimedwait, errorName } from '@cs/core/posix'
      sigprocmask(SIG_BLOCK, [${SIGUSR1}])
      const none = errorName(sigtimedwait([${SIGUSR1}], 5))
      tgkill(getpid(), gettid(), ${SIGUSR1})
      console.log(JSON.stringify([none, sigtimedwait([${SIGUSR1}], -1)]))`
    expect(run(source)).toEqual(['EAGAIN', SIGUSR1])
  })

  it('are ignored, so that children leave no zombie', () => {
    const source = `
      import { fork, ignoreSignal, waitpid, _exit } from '@cs/core/posix'
      ignoreSignal(${constants.signals.SIGCHLD})
      const pid = fork()
      if (pid === 0) _exit(0)
      try { waitpid(pid) } catch (error) { console.log(JSON.stringify(error.code)) }`
    expect(run(source, ['--single-threaded'])).toBe('ECHILD')
  })

  it('that do not exist are refused', () => {
    const source = `
      import { ignoreSignal, SIG_BLOCK, sigprocmask } from '@cs/core/posix'
      const message = (f) => { try { f() } catch (error) { return error.name + ' ' + (error.code ?? '') } }
      console.log(JSON.stringify([message(() => ignoreSignal(9)), message(() => sigprocmask(SIG_BLOCK, [65])), message(() => sigprocmask(SIG_BLOCK, [0]))]))`
    expect(run(source)).toEqual(['PosixError EINVAL', 'RangeError ', 'RangeError '])
  })
})

describe('the libuv loop', () => {
  it('tells how long its next timer may wait', () => {
    const loop = uvLoop()
    if (!loop) return expect(process.platform).not.toBe('linux')
    expect(loop.fd).toBeGreaterThanOrEqual(0)
    const source = `
      import { stat } from 'node:fs'
      import { uvLoop } from '@cs/core/posix'
      const loop = uvLoop()
      stat('.', () => { // from a callback of libuv: in a timer's callback node has not armed its next timer yet
        const timer = setTimeout(() => {}, 5000)
        const armed = loop.timeout()
        clearTimeout(timer)
        console.log(JSON.stringify({ armed }))
      })`
    const { armed } = run(source) as { armed: number }
    expect(armed).toBeGreaterThan(0)
    expect(armed).toBeLessThanOrEqual(5000) // less where V8 has a timer of its own in the loop
  })

  it('reports -1 when it is not alive, not 0', () => {
    const source = `
      import { uvLoop } from '@cs/core/posix'
      const loop = uvLoop()
      process.on('exit', () => console.log(JSON.stringify(loop.timeout())))`
    expect(run(source)).toBe(-1)
  })

  it('is another one in each thread', () => {
    const source = `
      import { Worker } from 'node:worker_threads'
      import { uvLoop } from '@cs/core/posix'
      const code = "import { parentPort } from 'node:worker_threads'; import { uvLoop } from '@cs/core/posix'; parentPort.postMessage(uvLoop().fd)"
      new Worker(code, { eval: true }).on('message', (fd) => console.log(JSON.stringify([uvLoop().fd >= 0, fd >= 0, fd !== uvLoop().fd])))`
    expect(run(source)).toEqual([true, true, true])
  })
})

describe('an unsupported platform', () => {
  it('can import everything, and each call says what is missing', () => {
    const source = `
      Object.defineProperty(process, 'platform', { value: 'win32' })
      const posix = await import('@cs/core/posix')
      const buffer = new Uint8Array(8)
      const calls = {
        socket: () => posix.socket('ipv4'),
        recv: () => posix.recv(0, buffer, 0, 8),
        fork: () => posix.fork(),
        setThreadName: () => posix.setThreadName('x'),
        allocate: () => posix.Block.allocate(8),
        epoll: () => posix.epoll_create1(),
      }
      const told = {}
      for (const [name, call] of Object.entries(calls)) {
        try { call() } catch (error) { told[name] = [error instanceof posix.UnsupportedError, error.code, error.message] }
      }
      console.log(JSON.stringify({ told, uv: posix.uvLoop() === undefined }))`
    const { told, uv } = run(source) as { told: Record<string, [boolean, string, string]>; uv: boolean }
    expect(Object.keys(told)).toEqual(['socket', 'recv', 'fork', 'setThreadName', 'allocate', 'epoll'])
    for (const [typed, code, message] of Object.values(told)) {
      expect([typed, code]).toEqual([true, 'ERR_CS_UNSUPPORTED'])
      expect(message).toMatch(/not available on win32-/)
    }
    expect(uv).toBe(true)
  })

  it('can import everything without loading koffi', () => {
    const source = `
      await import('@cs/core/posix')
      const { createRequire } = await import('node:module')
      const loaded = Object.keys(createRequire(process.cwd() + '/package.json').cache).filter((path) => path.includes('koffi'))
      console.log(JSON.stringify(loaded))`
    expect(run(source)).toEqual([])
  })
})
