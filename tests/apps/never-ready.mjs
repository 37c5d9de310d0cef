/** An app that says something and then never comes to its end. */
console.error('waiting for a database that is not there')
await new Promise((resolve) => setTimeout(resolve, 600_000))
export default { fetch: () => new Response('never') }
