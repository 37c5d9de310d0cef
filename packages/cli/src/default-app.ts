/** The app that is served where none is given. */
export const app: { fetch(request: Request): Response } = {
  fetch: () => new Response('Hello, World!'),
}
