/** Powers of two next to a number, for products that are shifts. */
const words = new Float64Array(1)
const halves = new Uint32Array(words.buffer)

/** The e with 2^e ≤ value < 2^(e+1) of a normal positive number, exactly and the same on every machine. */
export function floorLog2(value: number): number {
  words[0] = value
  return ((halves[1] >>> 20) & 0x7ff) - 1023
}

/**
 * The exponent of the power of two that is nearest to |value|, at most `highest`: 2^e for 3/4 · 2^e ≤ |value| < 3/2 · 2^e.
 * Undefined below half of 2^lowest, where zero is nearer.
 */
export function nearestPower(value: number, lowest: number, highest: number): number | undefined {
  const size = Math.abs(value)
  if (size < 2 ** (lowest - 1)) return undefined
  const below = floorLog2(size)
  return Math.min(highest, Math.max(lowest, size >= 1.5 * 2 ** below ? below + 1 : below))
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
 * AP2(value) = sign(value) · 2^round(log2 |value|), the power of two that is nearest in the logarithm, and 0 for 0. What is
 * nearer to zero than the smallest normal float32 counts as that.
 */
export function nearestPowerOfTwo(value: number): number {
  return value === 0 ? 0 : Math.sign(value) * 2 ** roundLog2(Math.max(Math.abs(value), SMALLEST))
}
