import { createRandom, type Random } from '../tensor/random.ts'
import { skeletons, type Stroke } from './digit-skeletons.ts'

/** Pixels along each side of a digit image. */
export const digitSide = 28

/**
 * Draws one digit as someone with their own hand, pen and scanner would: a skeleton, bent elastically, moved by a random
 * affine map, inked with a pen of random width and softness, and covered with noise.
 * @param target receives `digitSide * digitSide` grey values, 0 for paper and 255 for ink, from `offset` on.
 */
function drawDigit(digit: number, random: Random, target: Uint8Array, offset: number): void {
  const variants = skeletons[digit]
  const strokes = variants[random.integer(variants.length)]
  const place = randomPlacement(random)
  const ink = new Float32Array(digitSide * digitSide)
  const halfWidth = 0.7 + 0.9 * random.uniform()
  const softness = 0.7 + 1.1 * random.uniform()
  for (const stroke of strokes) inkStroke(ink, place(stroke), halfWidth, softness)
  const contrast = 255 * (0.6 + 0.4 * random.uniform())
  const noise = 8 + 24 * random.uniform()
  for (let i = 0; i < ink.length; i++) {
    const value = contrast * ink[i] + noise * roughlyNormal(random)
    target[offset + i] = value <= 0 ? 0 : value >= 255 ? 255 : value
  }
}

/** Draws record `index` of an endless series: its digit is `index % 10`, and equal arguments give equal pixels. */
export function drawRecord(seed: number, series: string, index: number, target: Uint8Array, offset: number): number {
  const digit = index % 10
  drawDigit(digit, createRandom(seed).fork(`${series}/${index}`), target, offset)
  return digit
}

/** The sum of four random bytes, shifted and scaled to mean 0 and variance 1: normal enough, and three times as fast. */
function roughlyNormal(random: Random): number {
  const bits = random.bits()
  return ((bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510) / 147.8
}

/** A random map from the unit square to pixels: a sum of smooth waves bends, an affine map turns, shears and moves. */
function randomPlacement(random: Random): (stroke: Stroke) => Float64Array {
  const spread = (limit: number) => (2 * random.uniform() - 1) * limit
  const angle = spread(0.3)
  const shear = spread(0.25)
  const width = 16 + 7 * random.uniform()
  const height = 16 + 6 * random.uniform()
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  const middle = (digitSide - 1) / 2
  const [moveX, moveY] = [middle + spread(2.6), middle + spread(2.6)]
  const waves = Array.from({ length: 6 }, () => ({
    amplitude: spread(0.04),
    x: spread(6),
    y: spread(6),
    phase: spread(Math.PI),
  }))
  const bend = (first: number, x: number, y: number) => {
    let sum = 0
    for (let k = first; k < first + 3; k++) {
      const wave = waves[k]
      sum += wave.amplitude * Math.sin(wave.x * x + wave.y * y + wave.phase)
    }
    return sum
  }
  return (stroke) => {
    const points = new Float64Array(stroke.length)
    for (let i = 0; i < stroke.length; i += 2) {
      const [x, y] = [stroke[i], stroke[i + 1]]
      const v = (y - 0.5 + bend(3, x, y)) * height
      const u = (x - 0.5 + bend(0, x, y)) * width - shear * v
      points[i] = cos * u - sin * v + moveX
      points[i + 1] = sin * u + cos * v + moveY
    }
    return points
  }
}

/** Inks a polyline: full within `halfWidth` of it, fading to nothing over `softness` pixels. */
function inkStroke(ink: Float32Array, points: Float64Array, halfWidth: number, softness: number): void {
  const reach = halfWidth + softness
  for (let i = 2; i < points.length; i += 2) {
    const [ax, ay, bx, by] = [points[i - 2], points[i - 1], points[i], points[i + 1]]
    const [dx, dy] = [bx - ax, by - ay]
    const lengthSquared = dx * dx + dy * dy || 1e-12
    const left = Math.max(0, Math.ceil(Math.min(ax, bx) - reach))
    const right = Math.min(digitSide - 1, Math.floor(Math.max(ax, bx) + reach))
    const top = Math.max(0, Math.ceil(Math.min(ay, by) - reach))
    const bottom = Math.min(digitSide - 1, Math.floor(Math.max(ay, by) + reach))
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / lengthSquared))
        const [ex, ey] = [x - ax - along * dx, y - ay - along * dy]
        const value = Math.min(1, (reach - Math.sqrt(ex * ex + ey * ey)) / softness)
        const at = y * digitSide + x
        if (value > ink[at]) ink[at] = value
      }
    }
  }
}
