/** Prints what tasks cost on this machine: node packages/bench/dist/modern/tasks-main.js */
import { alignedTable } from '../table.js'
import { measureTasks, tableOfTasks } from './tasks.js'

console.log(alignedTable(tableOfTasks(await measureTasks())))
