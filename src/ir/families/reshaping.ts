/** Operators that keep the elements in order and change the shape: Reshape, Flatten, Squeeze, Unsqueeze. */
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import type { ChannelTie, CostContext, GradientContext } from '../operator.ts'
import { nodeError } from './axes.ts'

/** The numbers that a Reshape's target stands for. @throws ModelError when the elements do not fit. */
export function resolveShape(node: Node, shape: readonly number[], target: readonly number[]): number[] {
  const result = inferReshape(node, shape, target) as number[]
  if (elementCount(result) !== elementCount(shape)) throw misfit(node, shape, target)
  return result
}

/** The shape after a Reshape, as far as it can be told: symbols stay where 0 copies them or where they cancel out. */
export function inferReshape(node: Node, shape: readonly Dim[] | undefined, target: readonly number[]): Dim[] {
  const copies = intAttribute(node, 'allowzero', 0) === 0
  const result = target.map((size, axis): Dim => {
    if (size === 0 && copies) {
      if (shape && axis >= shape.length) throw misfit(node, shape, target)
      return shape ? shape[axis] : null
    }
    return size === -1 ? null : size
  })
  const open = target.indexOf(-1)
  if (open >= 0 && shape) result[open] = remainder(node, shape, result, open, target)
  else if (shape?.every((dim) => typeof dim === 'number') && result.every((dim) => typeof dim === 'number')) {
    if (elementCount(shape) !== elementCount(result)) throw misfit(node, shape, target)
  }
  return result
}

/** What -1 stands for: all sizes divided by the others, after striking out equal symbols. */
function remainder(
  node: Node,
  shape: readonly Dim[],
  result: readonly Dim[],
  open: number,
  target: readonly number[],
): Dim {
  const left = [...shape]
  let divisor = 1
  for (const [axis, size] of result.entries()) {
    if (axis === open) continue
    if (typeof size === 'number') {
      divisor *= size
      continue
    }
    const match = size === null ? axis : left.indexOf(size)
    if (size === null && target[axis] !== 0) return null
    left[match] = 1
  }
  if (left.includes(0)) return 0
  const symbols = left.filter((size) => typeof size !== 'number')
  const count = elementCount(left.filter((size) => typeof size === 'number'))
  if (symbols.length === 0) {
    if (divisor === 0 || count % divisor !== 0) throw misfit(node, shape, target)
    return count / divisor
  }
  return symbols.length === 1 && count === divisor ? symbols[0] : null
}

function misfit(node: Node, shape: readonly Dim[], target: readonly number[]): Error {
  const from = shape.map((dim) => dim ?? '?').join(', ')
  return nodeError(node, 'reshape-size', `the elements of [${from}] do not fit into [${target.join(', ')}]`)
}

/** Gives the gradient the shape of the input back. */
export function reshapeGradient(context: GradientContext): (string | undefined)[] {
  const { inputs, outputGradients, emit, literal, shape } = context
  return [emit('Reshape', [outputGradients[0], literal(int64(shape(inputs[0]!)))])]
}

/**
 * Ties where a leading axis survives: both shapes fall into the smallest groups of axes with equal products, and in each
 * group the leading axes hold the same channels, each with the elements of the axes behind it.
 */
export function reshapeTies({ inputs: [x], outputs: [y] }: CostContext): ChannelTie[] {
  const ties: ChannelTie[] = []
  const [from, to] = [x!.shape, y.shape]
  if (elementCount(from) === 0 || elementCount(from) !== elementCount(to)) return []
  let [i, j] = [0, 0]
  while (i < from.length && j < to.length) {
    const [startI, startJ] = [i, j]
    let [productI, productJ] = [from[i++], to[j++]]
    while (productI !== productJ) {
      if (productI < productJ) productI *= from[i++]
      else productJ *= to[j++]
    }
    const axisI = leading(from, startI, i)
    const axisJ = leading(to, startJ, j)
    const channels = Math.min(from[axisI], to[axisJ])
    if (from[axisI] % channels !== 0 || to[axisJ] % channels !== 0) continue
    ties.push({
      ports: [
        { side: 'input', index: 0, axis: axisI, repeat: from[axisI] / channels },
        { side: 'output', index: 0, axis: axisJ, repeat: to[axisJ] / channels },
      ],
    })
  }
  return ties
}

/** The first axis of the group that is not of size 1, or the first of all. */
function leading(shape: readonly number[], start: number, end: number): number {
  for (let axis = start; axis < end; axis++) if (shape[axis] !== 1) return axis
  return start
}
