/** A seeded stream of random numbers: the same seed gives the same numbers on every machine. */
export interface Random {
  /** The next 32 random bits, unsigned. */
  bits(): number
  /** Uniform in [0, 1), with 32 bits of resolution. */
  uniform(): number
  /** Standard normal, by the polar method of Marsaglia. */
  normal(): number
  /** A uniform integer in [0, below). */
  integer(below: number): number
  /** Puts the elements into a uniformly random order, in place. */
  shuffle<A extends { length: number; [index: number]: unknown }>(items: A): A
  /** An independent stream derived from this seed and a label; asking again gives the same stream. */
  fork(label: string | number): Random
  /** The state, to be handed to `resumeRandom`. */
  state(): readonly number[]
}

/** Makes a stream from a seed: sfc32 (Doty-Humphrey, PractRand), seeded through splitmix32. */
export function createRandom(seed: number): Random {
  return fromState(seededState(seed))
}

/** Continues a stream where `state()` was taken. */
export function resumeRandom(state: readonly number[]): Random {
  return fromState(state)
}

function seededState(seed: number): number[] {
  let x = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0
  const next = () => {
    x = (x + 0x9e3779b9) >>> 0
    let z = x
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  return [next(), next(), next(), 1]
}

/** A state is [a, b, c, counter] when new, and then also the spare normal number (or NaN) and the three words it began with. */
function fromState(state: readonly number[]): Random {
  let [a, b, c, counter] = state
  const isNew = state.length === 4
  const root = isNew ? state.slice(0, 3) : state.slice(5, 8)
  const bits = () => {
    const result = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + result) | 0
    return result >>> 0
  }
  if (isNew) for (let i = 0; i < 12; i++) bits()
  // JSON turns NaN into null.
  let spare = state[4] ?? Number.NaN
  const uniform = () => bits() / 2 ** 32
  return {
    bits,
    uniform,
    normal() {
      if (!Number.isNaN(spare)) {
        const value = spare
        spare = Number.NaN
        return value
      }
      for (;;) {
        const u = 2 * uniform() - 1
        const v = 2 * uniform() - 1
        const s = u * u + v * v
        if (s === 0 || s >= 1) continue
        const scale = Math.sqrt((-2 * Math.log(s)) / s)
        spare = v * scale
        return u * scale
      }
    },
    integer: (below) => Math.floor(uniform() * below),
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = Math.floor(uniform() * (i + 1))
        const held = items[i]
        items[i] = items[j]
        items[j] = held
      }
      return items
    },
    fork(label) {
      let hash = (root[0] ^ Math.imul(root[1], 31) ^ Math.imul(root[2], 17)) >>> 0
      for (const character of `${typeof label}:${label}`)
        hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0
      return createRandom(hash)
    },
    state: () => [a, b, c, counter, spare, ...root],
  }
}
