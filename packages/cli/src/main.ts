/** The cs command. */

import { defineCommand, runMain } from 'citty'
import { list } from './list.js'
import { serve } from './serve.js'
import { version } from './version.js'

const main = defineCommand({
  meta: { name: 'cs', version: version(), description: 'Real server concurrency models for Node.js' },
  subCommands: { serve, list },
})

await runMain(main)
