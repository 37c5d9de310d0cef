import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { READABLE, WRITABLE } from '@cs/core/demux'
import { EventLoop, type EventLoopSettings, Mailbox, relaySignals, stopLoop } from '@cs/core/loop'
import { close, recv, send, socketpair } from '@cs/core/posix'
import type { Shared } from '@cs/core/sync'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { bytes, closeAll, keep, run } from '../posix/support.js'

afterEach(closeAll)

function loopOf(settings?: EventLoopSettings): EventLoop {
  const loop = new EventLoop(settings)
  onTestFinished(() => loop.close())
  return loop
}

function pair(): [number, number] {
  const [a, b] = socketpair({ nonblocking: true })
  return [keep(a), keep(b)]
}

const demultiplexers: readonly EventLoopSettings[] = [
  { demultiplexer: 'select' },
  { demultiplexer: 'poll' },
  { demultiplexer: 'epoll' },
  { demultiplexer: 'epoll', trigger: 'edge' },
  { demultiplexer: 'kqueue' },
  { demultiplexer: 'kqueue', trigger: 'edge' },
]

describe.each(demultiplexers)('a loop on $demultiplexer $trigger', (settings) => {
  it('calls back for what is ready, and no more for what is not watched', async () => {
    const loop = loopOf(settings)
    const [a, b] = pair()
    const seen: unknown[] = []
    loop.watch(a, READABLE, (ready) => {
      const buffer = new Uint8Array(8)
      seen.push([ready, recv(a, buffer, 0, 8)])
      if (seen.length === 1) return void send(b, bytes('yz'), 0, 2)
      loop.unwatch(a)
      send(b, bytes('!'), 0, 1)
      loop.setTimer(20, () => loop.stop())
    })
    send(b, bytes('x'), 0, 1)
    await loop.run()
    expect(seen).toEqual([
      [READABLE, 1],
      [READABLE, 2],
    ])
  })

  it('changes what a descriptor is watched for', async () => {
    const loop = loopOf(settings)
    const [a] = pair()
    loop.watch(a, READABLE, (ready) => {
      expect(ready).toBe(WRITABLE)
      loop.stop()
    })
    loop.setTimer(5, () => loop.change(a, WRITABLE))
    await loop.run()
    expect(loop.statistics()).toMatchObject({ io: 1, timers: 1 })
  })

  it('does not call back for what was unwatched in the same turn', async () => {
    const loop = loopOf(settings)
    const pairs = [pair(), pair()]
    let calls = 0
    for (const [index, [fd]] of pairs.entries()) {
      loop.watch(fd, WRITABLE, () => {
        calls++
        loop.unwatch(pairs[1 - index][0])
      })
    }
    loop.setTimer(5, () => loop.stop())
    loop.afterWait(() => calls > 0 && loop.stop())
    await loop.run()
    expect(calls).toBeGreaterThan(0)
    expect(loop.statistics().watched).toBe(1)
  })

  it('takes tasks of other threads, in order, with none lost, however small its mailbox', async () => {
    const loop = loopOf({ ...settings, mailbox: 1000 })
    const names = ['one', 'two']
    const next: Record<string, number> = { one: 0, two: 0 }
    let open = names.length
    loop.handle('number', (name: string, n: number) => expect(n).toBe(next[name]++))
    loop.handle('done', (_: string, isOwn: boolean) => {
      expect(isOwn).toBe(false)
      if (--open === 0) loop.stop()
    })
    for (const name of names) {
      const workerData = { mailbox: loop.mailbox.share(), name, count: 5000 }
      const worker = new Worker(new URL('./fixtures/poster.mjs', import.meta.url), { workerData })
      onTestFinished(() => void worker.terminate())
    }
    expect(loop.mailbox.isOwn).toBe(true)
    await loop.run()
    expect(next).toEqual({ one: 5000, two: 5000 })
  })
})

describe('a loop', () => {
  it('is the current one of its thread while it runs', async () => {
    const loop = loopOf()
    let seen: EventLoop | undefined
    loop.post(() => {
      seen = EventLoop.current
      loop.stop()
    })
    await loop.run()
    expect([seen, EventLoop.current]).toEqual([loop, undefined])
  })

  it('ends without a wait where a hook before the wait stops it', async () => {
    const loop = loopOf()
    let waits = 0
    loop.afterWait(() => void waits++)
    loop.beforeWait(() => loop.stop())
    await loop.run() // for ever, if it waited
    expect(waits).toBe(1)
  })

  it('lets whoever knows demultiplexers watch, change and forget', async () => {
    const loop = loopOf()
    const [a, b] = pair()
    const told: number[] = []
    const admitter = loop.admitter((fd) => {
      told.push(fd)
      if (told.length === 1) admitter.modify(a, READABLE)
      else {
        admitter.remove(a)
        loop.stop()
      }
    })
    expect(admitter).toMatchObject({ name: 'epoll', trigger: 'level', limit: Number.POSITIVE_INFINITY })
    send(b, bytes('x'), 0, 1)
    admitter.add(a, WRITABLE)
    await loop.run()
    expect(told).toEqual([a, a])
    expect(loop.statistics().watched).toBe(0)
  })

  it('forgets a descriptor that was closed, whose number another may have', async () => {
    const loop = loopOf({ demultiplexer: 'poll' })
    const [a, b] = socketpair({ nonblocking: true })
    keep(b)
    let calls = 0
    loop.watch(a, WRITABLE, () => void calls++)
    close(a)
    loop.closed(a)
    loop.setTimer(10, () => loop.stop())
    await loop.run()
    expect(calls).toBe(0)
    expect(loop.statistics().watched).toBe(0)
  })

  it('names the descriptors that it holds', () => {
    expect(loopOf({ demultiplexer: 'epoll', wakeup: 'eventfd' }).descriptors).toHaveLength(2)
    expect(loopOf({ demultiplexer: 'poll', wakeup: 'pipe' }).descriptors).toHaveLength(2)
    expect(loopOf({ demultiplexer: 'epoll', wakeup: 'socketpair' }).descriptors).toHaveLength(3)
  })

  it('tells the ledger it is given that callbacks ran', async () => {
    const ledger = { appRan: false, pending: 0 }
    const seen: boolean[] = []
    const loop = loopOf({ ledger })
    loop.post(() => {
      seen.push(ledger.appRan)
      loop.stop()
    })
    loop.beforeWait(() => seen.push(ledger.appRan))
    await loop.run()
    expect(seen).toEqual([false, true])
  })
})

describe('a turn', () => {
  it('runs its phases in the order that is documented', async () => {
    const loop = loopOf()
    const [a, b] = pair()
    const order: string[] = []
    const note = (what: string) => () => void order.push(what)
    loop.beforeWait(note('before'))
    loop.afterWait(note('after'))
    loop.onSignal('SIGUSR2', note('signal'))
    loop.handle('posted', note('mail'))
    process.emit('SIGUSR2', 'SIGUSR2')
    loop.mailbox.post('posted')
    loop.post(note('task'))
    loop.post(() => Promise.resolve().then(note('promise')))
    loop.setTimer(0, note('timer'))
    loop.watch(a, READABLE, () => {
      order.push('I/O')
      loop.unwatch(a)
    })
    send(b, bytes('x'), 0, 1)
    loop.post(() => loop.stop())
    await loop.run()
    expect(order).toEqual(['before', 'after', 'I/O', 'timer', 'signal', 'task', 'mail', 'promise'])
  })

  it('leaves to the next what its callbacks add', async () => {
    const loop = loopOf()
    const turns: number[] = []
    const task = (): void => {
      turns.push(loop.statistics().turns)
      if (turns.length < 3) loop.post(task)
      else loop.stop()
    }
    loop.post(task)
    await loop.run()
    expect(turns).toEqual([1, 2, 3])
  })

  it('runs no more tasks and timers than its budget, and the rest in the next turns without waiting', async () => {
    const loop = loopOf({ budget: 3 })
    const perTurn: number[] = []
    let before = 0
    loop.beforeWait(() => {
      const { tasks, timers } = loop.statistics()
      perTurn.push(tasks + timers - before)
      before = tasks + timers
    })
    for (let i = 0; i < 7; i++) loop.post(() => {})
    for (let i = 0; i < 4; i++) loop.mailbox.post('mail')
    let mail = 0
    loop.handle('mail', () => ++mail === 4 && loop.stop())
    for (let i = 0; i < 7; i++) loop.setTimer(0, () => {})
    await loop.run()
    expect([Math.max(...perTurn), before >= 14, mail]).toEqual([6, true, 4])
  })
})

describe('timers', () => {
  it('run in the order of their times, repeat, and can be cancelled', async () => {
    const loop = loopOf()
    const order: string[] = []
    for (const ms of [15, 5, 10]) loop.setTimer(ms, () => order.push(String(ms)))
    const never = loop.setTimer(7, () => order.push('never'))
    loop.cancelTimer(never)
    let beats = 0
    const beat = loop.setTimer(1, () => (++beats === 3 ? loop.cancelTimer(beat) : undefined), 2)
    loop.setTimer(40, () => loop.stop())
    await loop.run()
    expect([order, beats]).toEqual([['5', '10', '15'], 3])
  })

  it('are not early', async () => {
    const loop = loopOf()
    const began = performance.now()
    const early: number[] = []
    for (const ms of [3, 7.5, 12]) {
      loop.setTimer(ms, () => performance.now() - began < ms && early.push(ms))
    }
    loop.setTimer(20, () => loop.stop())
    await loop.run()
    expect(early).toEqual([])
  })

  it('refuses times below 0 and no numbers', () => {
    const loop = loopOf()
    expect(() => loop.setTimer(-1, () => {})).toThrow(RangeError)
    expect(() => loop.setTimer(Number.NaN, () => {})).toThrow(RangeError)
    expect(() => loop.setTimer(1, () => {}, -1)).toThrow(RangeError)
  })
})

describe('what callbacks await', () => {
  it('goes on: timers of Node, files', async () => {
    const loop = loopOf()
    let text = ''
    loop.post(async () => {
      await sleep(5)
      text = await readFile(new URL(import.meta.url), 'utf8')
      loop.stop()
      loop.mailbox.post('wake')
    })
    loop.handle('wake', () => {})
    await loop.run()
    expect(text).toContain('goes on: timers of Node')
  })

  it('lets an idle loop sleep', async () => {
    const loop = loopOf()
    loop.post(async () => {
      await sleep(300)
      loop.post(() => loop.stop())
      loop.mailbox.post('wake')
    })
    loop.handle('wake', () => {})
    await loop.run()
    expect(loop.statistics().turns).toBeLessThan(100)
  })
})

describe('errors', () => {
  it('end the loop, which gives back what it held, and are told by run', async () => {
    const loop = loopOf()
    loop.post(() => {
      throw new Error('thrown here')
    })
    await expect(loop.run()).rejects.toThrow('thrown here')
    expect(loop.mailbox.post('late')).toBe('closed')
    await expect(loop.run()).rejects.toThrow('a loop runs once')
  })

  it('are told to onError, and the loop goes on', async () => {
    const errors: unknown[] = []
    const loop = loopOf({ onError: (error) => errors.push(error) })
    loop.post(() => {
      throw new Error('one')
    })
    loop.mailbox.post('nobody handles this')
    loop.setTimer(5, () => loop.stop())
    await loop.run()
    expect(errors.map(String)).toEqual(['Error: one', expect.stringContaining("'nobody handles this'")])
  })

  it('in the settings are refused', () => {
    expect(() => new EventLoop({ budget: 0 })).toThrow(RangeError)
    expect(() => new EventLoop({ demultiplexer: 'poll', trigger: 'edge' })).toThrow(RangeError)
  })
})

describe('other threads', () => {
  it('post tasks to a loop in a worker, pass signals on to it, and stop it', async () => {
    const worker = new Worker(new URL('./fixtures/looping.mjs', import.meta.url))
    const messages: unknown[] = []
    const next = async (): Promise<unknown> => {
      while (messages.length === 0) await new Promise((resolve) => worker.once('message', resolve))
      return messages.shift()
    }
    worker.on('message', (message) => messages.push(message))
    const mailbox = Mailbox.from((await next()) as Shared)
    expect(mailbox.isOwn).toBe(false)
    expect(mailbox.post('add', 1, 2)).toBe('posted')
    expect(await next()).toBe(3)
    const release = relaySignals(['SIGUSR2'], [mailbox])
    process.kill(process.pid, 'SIGUSR2')
    expect(await next()).toBe('SIGUSR2')
    release()
    expect(process.listenerCount('SIGUSR2')).toBe(0)
    stopLoop(mailbox)
    expect(await next()).toBe('ended')
    expect(mailbox.post('add', 1, 2)).toBe('closed')
  })

  it('cannot post what cannot be cloned, or never fits', () => {
    const loop = loopOf({ mailbox: 100 })
    expect(() => loop.mailbox.post('task', () => {})).toThrow('could not be cloned')
    expect(() => loop.mailbox.post('task', 'x'.repeat(200))).toThrow(RangeError)
    expect(loop.mailbox.post('task', 'x'.repeat(50))).toBe('posted')
    expect(loop.mailbox.post('task', 'x'.repeat(50))).toBe('full')
  })
})

describe('a process of its own', () => {
  it('gets its signals as events of the loop', () => {
    expect(
      run(`
      import { EventLoop } from '@cs/core/loop'
      const loop = new EventLoop()
      const seen = []
      const release = loop.onSignal('SIGUSR2', () => {
        seen.push('SIGUSR2')
        release()
        loop.stop()
      })
      loop.setTimer(5, () => process.kill(process.pid, 'SIGUSR2'))
      await loop.run()
      console.log(JSON.stringify([seen, process.listenerCount('SIGUSR2')]))`),
    ).toEqual([['SIGUSR2'], 0])
  })

  it('refuses the loop to a child that was forked from it', () => {
    expect(
      run(`
      import { EventLoop } from '@cs/core/loop'
      import { _exit, fork, waitpid } from '@cs/core/posix'
      const loop = new EventLoop()
      loop.assertInLoopThread()
      const pid = fork()
      if (pid === 0) {
        try {
          loop.assertInLoopThread()
          _exit(0)
        } catch {
          _exit(7)
        }
      }
      console.log(JSON.stringify(waitpid(pid).code))
      loop.close()`),
    ).toBe(7)
  })

  it('ends by itself once its loop has ended', () => {
    expect(
      run(`
      import { EventLoop } from '@cs/core/loop'
      const loop = new EventLoop()
      loop.setTimer(5, () => loop.stop())
      await loop.run()
      console.log(JSON.stringify('ended'))`),
    ).toBe('ended')
  })
})
