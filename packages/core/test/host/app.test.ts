import { pathToFileURL } from 'node:url'
import { AppError, appUrl, loadApp } from '@cs/core/host'
import { describe, expect, it } from 'vitest'

const fixture = (name: string) => new URL(`./fixtures/${name}.mjs`, import.meta.url).href
const request = () => new Request('http://a/', { method: 'PUT' })

describe('an app', () => {
  it.each([
    ['default-object', 'object'],
    ['default-function', 'PUT'],
    ['named-app', 'named'],
    ['module', 'module'],
    ['class-instance', 'private'],
    ['hono-like', 'this'],
  ])('may be exported as %s', async (name, text) => {
    const app = await loadApp(fixture(name))
    expect(await (await app.fetch(request())).text()).toBe(text)
  })

  it.each([
    ['nothing', /nothing\.mjs has no fetch handler: export default \{ fetch/],
    ['a-class', /has no fetch handler/],
    ['throws', /throws\.mjs cannot be loaded: broken at the top/],
    ['missing', /cannot be loaded: .*missing\.mjs/],
  ])('that is none is refused and says why: %s', async (name, message) => {
    const error = await loadApp(fixture(name)).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'ERR_CS_APP', message: expect.stringMatching(message) as string })
  })

  it('is found by URL, by URL string and by path', () => {
    expect(appUrl(new URL('file:///a/b.mjs'))).toBe('file:///a/b.mjs')
    expect(appUrl('data:text/javascript,1')).toBe('data:text/javascript,1')
    expect(appUrl('./b c.mjs')).toBe(pathToFileURL('./b c.mjs').href)
  })
})
