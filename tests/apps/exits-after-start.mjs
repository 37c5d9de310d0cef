/** Ends whatever runs it, soon after it was loaded, each time. */
setTimeout(() => process.exit(3), 20)

export default { fetch: () => new Response('Hello, World!') }
