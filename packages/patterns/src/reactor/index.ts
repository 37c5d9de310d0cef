/** The Reactor pattern as a library: the reactor, the handlers that a server registers, and the base of a user's own. */
export { AcceptHandler } from './accept-handler.js'
export { ConnectionHandler } from './connection-handler.js'
export { Dealer } from './dealer.js'
export { EventHandler, EventType, type EventTypes } from './event-handler.js'
export { type Deal, Handover } from './handover.js'
export { InboxHandler } from './inbox-handler.js'
export { Reactor, type ReactorSettings } from './reactor.js'
export { StopHandler } from './stop-handler.js'
