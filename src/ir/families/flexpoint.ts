/** The number format of Flexpoint (Köster et al. 2017, arXiv 1711.02213): what rounding and its statistics share. */
import { roundEven } from '../../tensor/half.ts'
import { intAttribute, type Node } from '../model.ts'

/**
 * flexN+M: a tensor is whole mantissas of N bits times 2^-e, where the exponent e, M bits, is the whole tensor's.
 * The mantissas are from -largest to largest, e from 0 to most.
 */
export interface FlexpointFormat {
  /** Bits of a mantissa, sign included. */
  readonly mantissa: number
  /** Bits of the exponent. */
  readonly exponent: number
}

export function flexpointFormat(node: Node): FlexpointFormat {
  return { mantissa: intAttribute(node, 'mantissa', 16), exponent: intAttribute(node, 'exponent', 5) }
}

/** The largest mantissa; at it a tensor counts as overflown (algorithms 1 and 2). */
export function largestMantissa({ mantissa }: FlexpointFormat): number {
  return 2 ** (mantissa - 1) - 1
}

/** The largest exponent, which makes the smallest steps. */
export function mostExponent({ exponent }: FlexpointFormat): number {
  return 2 ** exponent - 1
}

/**
 * The exponent at which a tensor starts, by its own largest magnitude: where algorithm 1 arrives, that is with the
 * largest mantissa in (2^(N-3), 2^(N-2)], as far as e can go.
 */
export function firstExponent(maximum: number, format: FlexpointFormat): number {
  return Math.min(mostExponent(format), Math.max(0, format.mantissa - 2 - Math.ceil(Math.log2(maximum))))
}

/** x in the format at the exponent, by mantissas rounded half to even that saturate. */
export function toFlexpoint(x: number, exponent: number, format: FlexpointFormat): number {
  const largest = largestMantissa(format)
  return roundEven(Math.min(largest, Math.max(-largest, x * 2 ** exponent))) / 2 ** exponent
}

/** Ways to write nodes, which drafts and the contexts of operator rules both offer. */
export interface FlexpointWriter {
  emit(op: string, inputs: readonly string[]): string
  /** A float32 scalar constant. */
  literal(value: number): string
}

/**
 * Nodes for the exponents that tensors are rounded with: those predicted, and where one is negative, because the tensor
 * was never seen, the first one by its maximum. Both inputs are float32 of one shape.
 */
export function usedExponent(
  { emit, literal }: FlexpointWriter,
  predicted: string,
  maximum: string,
  format: FlexpointFormat,
): string {
  const power = emit('Ceil', [emit('Div', [emit('Log', [maximum]), literal(Math.LN2)])])
  const exponent = emit('Sub', [literal(format.mantissa - 2), power])
  const first = emit('Clip', [exponent, literal(0), literal(mostExponent(format))])
  return emit('Where', [emit('Less', [predicted, literal(0)]), first, predicted])
}
