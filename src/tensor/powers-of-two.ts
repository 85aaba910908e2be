/** Powers of two next to a number, for products that are shifts. */
const words = new Float64Array(1)
const halves = new Uint32Array(words.buffer)

/** The e with 2^e ≤ |value| < 2^(e+1) of a normal number, exactly and the same on every machine. */
export function floorLog2(value: number): number {
  words[0] = value
  return ((halves[1] >>> 20) & 0x7ff) - 1023
}

/**
 * The nearest of 0 and ±2^e for the whole numbers e from `lowest` to `highest`: ±2^e where 3/4 · 2^e ≤ |value| < 3/2 ·
 * 2^e, zero below half of the smallest.
 */
export function nearestAmongPowers(value: number, lowest: number, highest: number): number {
  const size = Math.abs(value)
  if (size < 2 ** (lowest - 1)) return 0
  const below = floorLog2(size)
  const exponent = size >= 1.5 * 2 ** below ? below + 1 : below
  return Math.sign(value) * 2 ** Math.min(highest, Math.max(lowest, exponent))
}

/** The nearest number of so many significant binary digits. */
export function roundSignificant(value: number, digits: number): number {
  if (value === 0) return 0
  const unit = 2 ** (floorLog2(value) + 1 - digits)
  return Math.round(value / unit) * unit
}

/** round(log2 |value|) of a number other than zero: the exponent of `nearestPowerOfTwo`. */
export function roundLog2(value: number): number {
  const size = Math.abs(value)
  const below = floorLog2(size)
  return size >= Math.SQRT2 * 2 ** below ? below + 1 : below
}

/** The smallest normal float32. */
const SMALLEST = 2 ** -126

/**
 * AP2(value) = sign(value) · 2^round(log2 |value|), the power of two that is nearest in the logarithm, and 0 for 0.
 * What is nearer to zero than the smallest normal float32 counts as that.
 */
export function nearestPowerOfTwo(value: number): number {
  return value === 0 ? 0 : Math.sign(value) * 2 ** roundLog2(Math.max(Math.abs(value), SMALLEST))
}
