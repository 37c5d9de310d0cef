/**
 * What one stage puts into the lane of another; the ID of each record is a descriptor, B the serial of its connection.
 *
 *   read ── OPENED, RECEIVED ─▶ parse ── SEND, SHUT, CLOSE ─▶ write          parse ── RESUME ─▶ read
 */

export const OPENED = 1
/** A is what recv(2) returned: bytes follow, or 0 at the end, or -errno. */
export const RECEIVED = 2
export const RESUME = 3
/** A bytes follow. */
export const SEND = 4
/** No more will be sent. */
export const SHUT = 5
/** The connection is over, when what was sent before is gone. */
export const CLOSE = 6
