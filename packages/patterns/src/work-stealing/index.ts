/** Tasks for apps that work-stealing serves, and what the model is made of. */
export { type Crew, createCrew, dismissOne, Injector, MOST, settleDead, statisticsOf } from './crew.js'
export { join, spawn, Task, TaskError, Tasks } from './tasks.js'
export { Thief } from './thief.js'
export { Worker } from './worker.js'
