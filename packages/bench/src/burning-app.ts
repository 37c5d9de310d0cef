/** An app that says hello, and burns 5 ms of CPU before it does where the path is /burn. */
import { burn } from './burn.js'

const app: { fetch(request: Request): Response } = {
  fetch: (request) => {
    if (request.url.endsWith('/burn')) burn()
    return new Response('Hello, World!')
  },
}

// biome-ignore lint/style/noDefaultExport: the default export is what makes a module an app
export default app
