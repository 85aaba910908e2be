/** Evenly spaced levels: ranges, scales and zero points, and how they are written. */
import { fromNumbers } from '../../../../tensor/elements.ts'
import { roundEven } from '../../../../tensor/half.ts'
import { float32, type Tensor } from '../../../../tensor/tensor.ts'
import type { QuantizerForm } from './family.ts'

/** Levels (q - zeroPoint) · scale for the codes q from `lowest` to `highest`. */
export interface UniformGrid {
  readonly scale: number
  readonly zeroPoint: number
  readonly lowest: number
  readonly highest: number
}

/**
 * The grid of 2^bits levels over [low, high], widened to contain zero and moved so that zero is a level: padding and
 * what a ReLU has cut off stay exact (Jacob et al. 2018, arXiv 1712.05877, section 3). Symmetric ones have 2^bits - 1.
 * Undefined where the range is empty, or too narrow for a float32 scale.
 */
export function uniformGrid(low: number, high: number, bits: number, symmetric: boolean): UniformGrid | undefined {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)]
  const highest = symmetric ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
  const scale = Math.fround(symmetric ? Math.max(-from, to) / highest : (to - from) / highest)
  if (!(scale > 1e-37)) return undefined
  if (symmetric) return { scale, zeroPoint: 0, lowest: -highest, highest }
  return { scale, zeroPoint: Math.min(highest, Math.max(0, roundEven(-from / scale))), lowest: 0, highest }
}

/** A number on the grid. */
export function onGrid(x: number, { scale, zeroPoint, lowest, highest }: UniformGrid): number {
  return (Math.min(highest, Math.max(lowest, roundEven(x / scale) + zeroPoint)) - zeroPoint) * scale
}

/** The constants that `quantizeUniform` reads. */
export function gridParameters({ scale, zeroPoint, lowest, highest }: UniformGrid): Readonly<Record<string, Tensor>> {
  const bound = (code: number) => float32([(code - zeroPoint) * scale], [])
  return {
    low: bound(lowest),
    high: bound(highest),
    scale: float32([scale], []),
    zeroPoint: fromNumbers(lowest < 0 ? 'int8' : 'uint8', [], Float64Array.of(zeroPoint)),
  }
}

/**
 * Clip to the ends of the grid, then codes and back. An int8 or uint8 code has 256 values: it is the Clip that leaves
 * 2^bits of them, and its gradient that is zero beyond.
 */
export function quantizeUniform({
  draft,
  x,
  parameters: p,
}: Pick<QuantizerForm<unknown>, 'draft' | 'x' | 'parameters'>): string {
  const clipped = draft.add('Clip', [x, p.low, p.high])
  return draft.add('espalier.FakeQuantize', [clipped, p.scale, p.zeroPoint])
}
