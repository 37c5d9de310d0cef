import { setTimeout } from 'node:timers/promises'
import {
  AIO_ALLDONE,
  AIO_CANCELED,
  AIO_NOTCANCELED,
  AioOperation,
  aio_cancel,
  aio_error,
  aio_read,
  aio_return,
  aio_suspend,
  aio_write,
  EAGAIN,
  EBADF,
  EBUSY,
  ECANCELED,
  EINPROGRESS,
  EINTR,
  EINVAL,
  memfd_create,
  pipe2,
  SHUT_RDWR,
  setNonBlocking,
  shutdown,
  socketpair,
  write,
} from '@cs/core/posix'
import { afterEach, describe, expect, it } from 'vitest'
import { bytes, closeAll, connected, detached, keep, run, text } from './support.js'

const operations: AioOperation[] = []

afterEach(() => {
  for (const operation of operations.splice(0)) if (!operation.isUnderWay) operation.free()
  closeAll()
})

function operationOf(capacity: number): AioOperation {
  const operation = new AioOperation(capacity)
  operations.push(operation)
  return operation
}

/** A connection whose server end blocks. */
function blockingConnection() {
  const { client, server } = connected()
  setNonBlocking(server, false)
  return { client, server }
}

function complete(operation: AioOperation): void {
  let result = -EINTR
  while (result === -EINTR) result = aio_suspend([operation], 10_000)
  expect(result).toBe(0)
}

describe.runIf(process.platform === 'linux')('asynchronous I/O', () => {
  it('starts the read of a socket at once and has it complete when the bytes come', () => {
    const { client, server } = blockingConnection()
    const operation = operationOf(64)
    const buffer = new Uint8Array(64)
    expect(aio_read(operation, server, 64)).toBe(0)
    expect([operation.isUnderWay, aio_error(operation), aio_return(operation, buffer)]).toEqual([
      true,
      -EINPROGRESS,
      -EINPROGRESS,
    ])
    expect(aio_suspend([operation], 5)).toBe(-EAGAIN)
    write(client, bytes('hello'), 0, 5)
    complete(operation)
    expect(aio_error(operation)).toBe(0)
    expect(text(buffer, aio_return(operation, buffer))).toBe('hello')
    expect([operation.isUnderWay, aio_return(operation, buffer)]).toEqual([false, -EINVAL])
  })

  it('tells the end of a stream as 0', () => {
    const [reader, writer] = socketpair().map(keep) as [number, number]
    const operation = operationOf(8)
    aio_read(operation, reader, 8)
    shutdown(writer, SHUT_RDWR)
    complete(operation)
    expect(aio_return(operation)).toBe(0)
  })

  it('writes and reads a file where it is told to', () => {
    const file = keep(memfd_create('aio', 16))
    const operation = operationOf(16)
    expect(aio_write(operation, file, bytes('..world..'), 2, 5, 3)).toBe(0)
    complete(operation)
    expect(aio_return(operation)).toBe(5)
    const buffer = new Uint8Array(20).fill(1)
    expect(aio_read(operation, file, 16, 2)).toBe(0)
    complete(operation)
    expect(aio_return(operation, buffer, 4)).toBe(14)
    expect([...buffer.subarray(0, 11)]).toEqual([1, 1, 1, 1, 0, ...bytes('world'), 0])
    expect([...buffer.subarray(18)]).toEqual([1, 1])
  })

  it('ends a wait for several with the first that is complete', () => {
    const [quiet, ender] = pipe2().map(keep) as [number, number]
    const [reader, writer] = pipe2().map(keep) as [number, number]
    const [late, soon] = [operationOf(8), operationOf(8)]
    aio_read(late, quiet, 8)
    aio_read(soon, reader, 8)
    write(writer, bytes('abc'), 0, 3)
    let woken = -EINTR
    while (woken === -EINTR) woken = aio_suspend([late, soon], 10_000)
    expect([woken, aio_error(late), aio_return(soon)]).toEqual([0, -EINPROGRESS, 3])
    write(ender, bytes('d'), 0, 1)
    complete(late)
    expect(aio_return(late)).toBe(1)
  })

  it('completes with EAGAIN on a descriptor that does not block', () => {
    const { server } = connected()
    const operation = operationOf(8)
    aio_read(operation, server, 8)
    complete(operation)
    expect(aio_return(operation)).toBe(-EAGAIN)
  })

  it('tells a failure as a value', () => {
    const operation = operationOf(8)
    expect(aio_read(operation, 0x7ffffff0, 8)).toBe(0)
    complete(operation)
    expect([aio_error(operation), aio_return(operation)]).toEqual([-EBADF, -EBADF])
  })

  it('has one operation at a time in its memory, which cannot be freed meanwhile', () => {
    const { client, server } = blockingConnection()
    const operation = operationOf(8)
    aio_read(operation, server, 8)
    expect(aio_read(operation, server, 8)).toBe(-EBUSY)
    expect(aio_write(operation, server, bytes('x'), 0, 1)).toBe(-EBUSY)
    expect(() => operation.free()).toThrow(/under way/)
    write(client, bytes('y'), 0, 1)
    complete(operation)
    expect(() => operation.free()).toThrow(/under way/)
    expect(aio_return(operation)).toBe(1)
    operation.free()
    operation.free()
    expect(() => aio_read(operation, server, 8)).toThrow(RangeError)
  })

  it('is taken back as long as it has not begun', () => {
    const { server } = blockingConnection()
    const [first, second] = [operationOf(8), operationOf(8)]
    aio_read(first, server, 8)
    aio_read(second, server, 8) // stands behind the first, since both are about one descriptor
    expect(aio_cancel(second, server)).toBe(AIO_CANCELED)
    expect(aio_return(second)).toBe(-ECANCELED)
    expect(aio_cancel(second, server)).toBe(AIO_ALLDONE)
    shutdown(server, SHUT_RDWR)
    complete(first)
    expect(aio_return(first)).toBe(0)
  })

  it('is not taken back once a thread sits in it, and ends with what it waits for', async () => {
    const { client, server } = blockingConnection()
    const operation = operationOf(8)
    let answer = AIO_CANCELED
    for (let i = 0; i < 1000 && answer === AIO_CANCELED; i++) {
      expect(aio_read(operation, server, 8)).toBe(0)
      await setTimeout(1) // it is taken back and started again until a thread was quick enough
      answer = aio_cancel(operation, server)
      if (answer === AIO_CANCELED) expect(aio_return(operation)).toBe(-ECANCELED)
    }
    expect([answer, aio_error(operation)]).toEqual([AIO_NOTCANCELED, -EINPROGRESS])
    write(client, bytes('late'), 0, 4)
    complete(operation)
    expect(aio_return(operation)).toBe(4)
  })

  it('does not wait for nothing', () => {
    expect(aio_suspend([], -1)).toBe(-EINVAL)
    expect(aio_suspend([operationOf(1)], -1)).toBe(-EINVAL)
  })

  it('refuses what does not fit before anything starts', () => {
    const { server } = blockingConnection()
    const operation = operationOf(8)
    const bad: (() => unknown)[] = [
      () => new AioOperation(0),
      () => new AioOperation(2 ** 32),
      () => aio_read(operation, server, 9),
      () => aio_read(operation, server, -1),
      () => aio_read(operation, server, 8, -1),
      () => aio_read(operation, Number.NaN, 8),
      () => aio_write(operation, server, bytes('123456789'), 0, 9),
      () => aio_write(operation, server, bytes('123'), 1, 3),
      () => aio_write(operation, server, detached(), 0, 8),
    ]
    for (const call of bad) expect(call, String(call)).toThrow(RangeError)
    expect(operation.isUnderWay).toBe(false)
  })

  it('refuses a buffer with no room for what was asked for, and can then still be collected', () => {
    const file = keep(memfd_create('aio', 8))
    const operation = operationOf(8)
    aio_read(operation, file, 8)
    complete(operation)
    expect(() => aio_return(operation, new Uint8Array(7))).toThrow(RangeError)
    expect(() => aio_return(operation, new Uint8Array(16), 9)).toThrow(RangeError)
    expect(aio_return(operation, new Uint8Array(8))).toBe(8)
  })

  it('outlives the thread that started it', () => {
    const source = `
      import { Worker } from 'node:worker_threads'
      import { close, pipe2, write } from '@cs/core/posix'
      const code = [
        "import { workerData } from 'node:worker_threads'",
        "import { AioOperation, aio_read } from '@cs/core/posix'",
        "aio_read(new AioOperation(65536), workerData, 65536)",
      ].join(';')
      const [reader, writer] = pipe2()
      new Worker(code, { eval: true, workerData: reader }).on('exit', () => {
        const sent = write(writer, new Uint8Array(65536).fill(7), 0, 65536)
        for (const end = Date.now() + 50; Date.now() < end; ) Buffer.alloc(1 << 20)
        console.log(JSON.stringify(sent))
      })`
    expect(run(source)).toBe(65536)
  })
})
