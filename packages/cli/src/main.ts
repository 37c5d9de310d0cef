/** The cs command. */

import { defineCommand, runMain } from 'citty'
import { version } from './version.js'

const main = defineCommand({
  meta: { name: 'cs', version: version(), description: 'Real server concurrency models for Node.js' },
  subCommands: {
    serve: async () => (await import('./serve.js')).serve,
    list: async () => (await import('./list.js')).list, // it loads all models, of which a server needs one
  },
})

await runMain(main)
