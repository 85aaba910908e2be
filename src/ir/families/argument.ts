/** ArgMax and ArgMin: the place of the best element along an axis. */
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, type ChannelTie, type Operator } from '../operator.ts'
import { normalizeAxis, required } from './axes.ts'
import { spread } from './samples.ts'

export interface ArgumentFacts {
  readonly type: string
  readonly since: number
  readonly summary: string
  readonly better: (value: number, best: number) => boolean
  /** A [2, 3] sample in which the best element occurs twice in a row of the matrix. */
  readonly ties: Tensor
}

/** Defines an operator [...a, d, ...b] -> [...a, 1, ...b] of places, int64, with `keepdims` and `select_last_index`. */
export function defineArgumentOperator({ better, ties, ...facts }: ArgumentFacts): Operator {
  return defineOperator({
    ...facts,
    infer: ({ node, inputs: [x] }) => [{ dtype: 'int64', shape: x?.shape && reducedShape(node, x.shape) }],
    evaluate: (context) => {
      const x = required(context, 0)
      const axis = reducedAxis(context.node, x.shape.length)
      const last = intAttribute(context.node, 'select_last_index', 0) === 1
      const size = x.shape[axis]
      const inner = elementCount(x.shape.slice(axis + 1))
      const values = toNumbers(x)
      const places = new Float64Array(values.length / size)
      for (let line = 0; line < places.length; line++) {
        const start = Math.floor(line / inner) * size * inner + (line % inner)
        for (let i = 1; i < size; i++) {
          const [value, best] = [values[start + i * inner], values[start + places[line] * inner]]
          if (better(value, best) || (last && value === best)) places[line] = i
        }
      }
      return [fromNumbers('int64', reducedShape(context.node, x.shape) as number[], places)]
    },
    coupling: ({ node, inputs: [x] }) => {
      const reduced = reducedAxis(node, x!.shape.length)
      const dropped = intAttribute(node, 'keepdims', 1) === 0
      return x!.shape.flatMap((_, axis): ChannelTie[] => {
        if (axis === reduced) return []
        const target = dropped && axis > reduced ? axis - 1 : axis
        return [
          {
            ports: [
              { side: 'input', index: 0, axis },
              { side: 'output', index: 0, axis: target },
            ],
          },
        ]
      })
    },
    differentiable: 'none',
    samples: [
      { name: 'first axis', inputs: [spread([4, 3])] },
      { name: 'negative axis, dropped', inputs: [spread([2, 5, 3])], attributes: { axis: -2, keepdims: 0 } },
      { name: 'ties', inputs: [ties], attributes: { axis: 1 } },
      { name: 'ties, the last', inputs: [ties], attributes: { axis: 1, select_last_index: 1 } },
    ],
  })
}

function reducedAxis(node: Node, rank: number): number {
  return normalizeAxis(intAttribute(node, 'axis', 0), rank, node)
}

function reducedShape(node: Node, shape: readonly Dim[]): Dim[] {
  const axis = reducedAxis(node, shape.length)
  const keep = intAttribute(node, 'keepdims', 1) === 1
  return shape.flatMap((size, i) => (i === axis ? (keep ? [1] : []) : [size]))
}
