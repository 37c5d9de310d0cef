import { Service } from '@cs/core'
import { POLLIN, pollOne } from '@cs/core/posix'
import { expect, it, onTestFinished } from 'vitest'
import {
  answer,
  anyProduces,
  type Calls,
  call,
  closeCalls,
  mayRest,
  openCalls,
  produces,
} from '../src/producer-consumer/watch.js'

function open(): { calls: Calls; service: Service; isCalled: () => boolean } {
  const calls = openCalls(2)
  onTestFinished(() => closeCalls(calls))
  const isCalled = (): boolean => pollOne(calls.fd, POLLIN, 0) > 0
  return { calls, service: new Service({ app: { fetch: () => new Response() } }), isCalled }
}

it('calls an attendant that rests, once', () => {
  const { calls, service, isCalled } = open()
  expect(mayRest(calls, service)).toBe(true)
  service.table.enter(5, 1)
  call(calls)
  expect(isCalled()).toBe(true)
  answer(calls)
  call(calls)
  expect(isCalled()).toBe(false)
})

it('does not call one that looks at the time anyway', () => {
  const { calls, service, isCalled } = open()
  service.table.enter(5, 1)
  expect(mayRest(calls, service)).toBe(false)
  call(calls)
  expect(isCalled()).toBe(false)
})

it('knows whether any producer has more to put', () => {
  const { calls } = open()
  expect(anyProduces(calls)).toBe(false)
  produces(calls, 0, true)
  produces(calls, 1, true)
  produces(calls, 0, false)
  expect(anyProduces(calls)).toBe(true)
  produces(calls, 1, false)
  expect(anyProduces(calls)).toBe(false)
})
