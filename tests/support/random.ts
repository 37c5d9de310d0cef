/** A random source that can be repeated: its seed is printed, and CS_SEED sets it. */
export function seededRandom(what: string): () => number {
  const seed = Number(process.env.CS_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0
  process.stdout.write(`${what}: CS_SEED=${seed}\n`)
  let state = seed
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
