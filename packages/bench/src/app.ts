/** What every model serves in the bench: an ordinary fetch app. */
const app: { fetch(request: Request): Response } = { fetch: () => new Response('Hello, World!') }

// biome-ignore lint/style/noDefaultExport: the default export is what makes a module an app
export default app
