import type { Dim, Node, TensorType } from '../model.ts'
import type { ChannelPort, ChannelTie, CostContext } from '../operator.ts'
import { nodeError } from './axes.ts'

/**
 * The broadcast of shapes with symbols in them. A size above 1 wins over a symbol, equal symbols stay,
 * different ones give null. Undefined when a rank is unknown. @throws ModelError when sizes cannot fit.
 */
export function broadcastDims(node: Node, shapes: readonly (readonly Dim[] | undefined)[]): readonly Dim[] | undefined {
  if (shapes.some((shape) => shape === undefined)) return undefined
  const known = shapes as readonly (readonly Dim[])[]
  const rank = Math.max(0, ...known.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) => {
    let result: Dim = 1
    for (const shape of known) {
      const position = axis - (rank - shape.length)
      if (position < 0) continue
      result = broadcastDim(result, shape[position], () => {
        const list = known.map((each) => `[${each.map((dim) => dim ?? '?').join(', ')}]`)
        return nodeError(node, 'shape-broadcast', `shapes ${list.join(' and ')} do not broadcast`)
      })
    }
    return result
  })
}

function broadcastDim(a: Dim, b: Dim, mismatch: () => Error): Dim {
  if (a === 1) return b
  if (b === 1 || a === b) return a
  if (typeof a === 'number' && typeof b === 'number') throw mismatch()
  if (typeof a === 'number') return a
  return typeof b === 'number' ? b : null
}

/** The output type of an elementwise operator: the broadcast shape, in `dtype` or that of the first known input. */
export function broadcastType(
  node: Node,
  inputs: readonly (TensorType | undefined)[],
  dtype?: TensorType['dtype'],
): TensorType | undefined {
  const element = dtype ?? inputs.find((input) => input)?.dtype
  return (
    element && {
      dtype: element,
      shape: broadcastDims(
        node,
        inputs.map((input) => input?.shape),
      ),
    }
  )
}

/** The ties of an elementwise operator: each output axis with the input axes that are not repeated along it. */
export function broadcastTies({ inputs, outputs: [output] }: CostContext): ChannelTie[] {
  return output.shape.map((size, axis) => {
    const ports: ChannelPort[] = []
    for (const [index, input] of inputs.entries()) {
      const position = input ? axis - (output.shape.length - input.shape.length) : -1
      if (input && position >= 0 && input.shape[position] === size) ports.push({ side: 'input', index, axis: position })
    }
    return { ports: [...ports, { side: 'output', index: 0, axis }] }
  })
}

/** Ties every axis of input 0 to the same axis of all outputs, except where `keep` says no. */
export function axisTies({ inputs: [input], outputs }: CostContext, keep: (axis: number) => boolean): ChannelTie[] {
  return input!.shape.flatMap((_, axis) =>
    keep(axis)
      ? [{ ports: [{ side: 'input', index: 0, axis }, ...outputs.map((_, index) => outputPort(index, axis))] }]
      : [],
  )
}

function outputPort(index: number, axis: number): ChannelPort {
  return { side: 'output', index, axis }
}
