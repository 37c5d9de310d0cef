/** The socket floor: listening sockets, and the table that says who owns each connection. */
export * from './connection-table.js'
export * from './listener.js'
