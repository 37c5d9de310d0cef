/** Prints what messages cost on this machine: node packages/bench/dist/modern/messages-main.js */
import { alignedTable } from '../table.js'
import { measureMessages, tableOfMessages } from './messages.js'

process.stdout.write(`${alignedTable(tableOfMessages(await measureMessages()))}\n`)
