import { describe, expect, it } from 'vitest'
import { parseWrk } from '../dist/load.js'

const keepAlive = `Running 2s test @ http://127.0.0.1:41279/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.46ms  510.41us  15.80ms   95.63%
    Req/Sec    44.29k     3.09k   47.81k    90.00%
  Latency Distribution
     50%    1.37ms
     75%    1.49ms
     90%    1.68ms
     99%    3.52ms
  88141 requests in 2.00s, 12.44MB read
Requests/sec:  44027.77
Transfer/sec:      6.21MB
`

describe('what wrk prints', () => {
  it('gives requests, duration and latencies', () => {
    expect(parseWrk(keepAlive)).toEqual({ requests: 88141, seconds: 2, p50Ms: 1.37, p99Ms: 3.52, errors: 0 })
  })

  it('may use µs, seconds and minutes', () => {
    const text = keepAlive.replace('1.37ms', '870.00us').replace('3.52ms', '1.25s').replace('in 2.00s', 'in 1.50m')
    expect(parseWrk(text)).toMatchObject({ p50Ms: 0.87, p99Ms: 1250, seconds: 90 })
  })

  it('counts socket errors and bad statuses as errors', () => {
    const errors = '  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n'
    expect(parseWrk(keepAlive.replace('Requests/sec', `${errors}Requests/sec`)).errors).toBe(54321)
  })

  it('is refused when it is something else', () => {
    expect(() => parseWrk('unable to connect to 127.0.0.1:1 Connection refused\n')).toThrow('Connection refused')
    expect(() => parseWrk('')).toThrow('not what wrk')
  })
})
