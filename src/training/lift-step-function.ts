/** Tells step functions from the nodes of their bodies: see `ir/ops/step-function.ts`. */
import { intAttribute, type Node } from '../ir/model.ts'
import { elementType } from '../ir/element-type.ts'
import { fromNumbers, toNumbers } from '../tensor/elements.ts'
import { elementCount, identical, type Tensor } from '../tensor/tensor.ts'
import type { LiftContext, Lifted } from './lift.ts'

/** How many thresholds lie below x. */
interface Count {
  readonly x: string
  /** `[m, ...]`, ascending. */
  readonly thresholds: Tensor
}

/**
 * DequantizeLinear(code, step) or Gather(levels, code) of a code that counts thresholds. What the gradient was is not
 * written in the nodes: it becomes that of signs where levels go below zero, otherwise the operator's own. That it is,
 * too, where the first two levels are the same: such a threshold does nothing but say where the range begins.
 */
export function stepFunction(node: Node, context: LiftContext): Lifted | undefined {
  const count = counted(node.inputs[node.op === 'Gather' ? 1 : 0], context)
  if (!count) return undefined
  const levels = node.op === 'Gather' ? bookLevels(node, context) : gridLevels(node, count, context)
  if (!levels || elementCount(levels.shape) !== count.thresholds.shape[0] + 1) return undefined
  if (levels.dtype !== count.thresholds.dtype) return undefined
  const [lowest, next] = toNumbers(levels)
  const signed = lowest < 0 && lowest !== next
  return {
    op: 'StepFunction',
    inputs: [count.x, context.literal('thresholds', count.thresholds), context.literal('levels', levels)],
    attributes: signed ? { gradient: { kind: 'string', value: 'hard-tanh' } } : {},
  }
}

function bookLevels(node: Node, { constant }: LiftContext): Tensor | undefined {
  const levels = constant(node.inputs[0])
  return levels?.shape.length === 1 && intAttribute(node, 'axis', 0) === 0 ? levels : undefined
}

function gridLevels({ inputs }: Node, { thresholds }: Count, { constant }: LiftContext): Tensor | undefined {
  const step = constant(inputs[1])
  const zeroPoint = inputs[2] ? constant(inputs[2]) : undefined
  if (!step || step.shape.length > 0 || (inputs[2] && zeroPoint?.dtype !== 'uint8')) return undefined
  const [scale, zero] = [toNumbers(step)[0], zeroPoint ? toNumbers(zeroPoint)[0] : 0]
  const values = Float64Array.from({ length: thresholds.shape[0] + 1 }, (_, code) => (code - zero) * scale)
  return fromNumbers(step.dtype, [values.length], values)
}

function counted(code: string, context: LiftContext): Count | undefined {
  const cast = context.made(code, 'Cast')
  // A code that was cast to what reads it; a single comparison is one itself.
  const inner = cast && !context.made(cast.inputs[0], 'Greater') ? cast.inputs[0] : code
  return bySum(inner, context) ?? byHalves(inner, context)
}

/** Sums of Cast(x > threshold). */
function bySum(code: string, { made, constant }: LiftContext): Count | undefined {
  const found: Tensor[] = []
  let x: string | undefined
  const collect = (value: string): boolean => {
    const add = made(value, 'Add')
    if (add) return add.inputs.every(collect)
    const compare = made(made(value, 'Cast')?.inputs[0], 'Greater')
    const threshold = constant(compare?.inputs[1])
    if (!compare || !threshold) return false
    x ??= compare.inputs[0]
    found.push(threshold)
    return x === compare.inputs[0]
  }
  if (!collect(code) || x === undefined) return undefined
  const [{ dtype, shape }] = found
  if (found.some((one) => one.dtype !== dtype || one.shape.join() !== shape.join())) return undefined
  const numbers = found.map(toNumbers)
  const ascends = numbers.every((one, i) => i === 0 || one.every((value, j) => value >= numbers[i - 1][j]))
  const values = numbers.flatMap((one) => [...one])
  return ascends ? { x, thresholds: fromNumbers(dtype, [found.length, ...shape], values) } : undefined
}

/** One bit of the code after the other, from a table of thresholds. */
function byHalves(code: string, context: LiftContext): Count | undefined {
  const { made, constant } = context
  const scaled = (value: string, by: number) => {
    const mul = made(value, 'Mul')
    return by === 1 ? value : mul && context.isNumber(mul.inputs[1], by) ? mul.inputs[0] : undefined
  }
  /** What is compared with what for the bit of this weight. */
  const compared = (value: string, weight: number) => {
    const cast = made(scaled(value, weight), 'Cast')
    return cast && intAttribute(cast, 'to', 0) === elementType('int32') ? made(cast.inputs[0], 'Greater') : undefined
  }
  let x: string | undefined
  let table: Tensor | undefined
  let value = code
  for (let weight = 1; weight <= 128; weight *= 2) {
    const add = made(value, 'Add')
    if (!add) {
      const first = compared(value, weight)
      const threshold = constant(first?.inputs[1])
      if (!first || !table || first.inputs[0] !== x || table.shape[0] !== 2 * weight - 1) return undefined
      const middle = fromNumbers(table.dtype, [], [toNumbers(table)[weight - 1]])
      return threshold && identical(threshold, middle) ? { x, thresholds: table } : undefined
    }
    const compare = compared(add.inputs[1], weight)
    const gather = made(compare?.inputs[1], 'Gather')
    const own = constant(gather?.inputs[0])
    if (!compare || !gather || own?.shape.length !== 1 || intAttribute(gather, 'axis', 0) !== 0) return undefined
    if ((x ??= compare.inputs[0]) !== compare.inputs[0] || !identical((table ??= own), own)) return undefined
    const place = weight === 1 ? gather.inputs[1] : made(gather.inputs[1], 'Add')?.inputs[0]
    if (place !== add.inputs[0]) return undefined
    if (weight > 1 && !context.isNumber(made(gather.inputs[1], 'Add')?.inputs[1], weight - 1)) return undefined
    value = add.inputs[0]
  }
  return undefined
}
