import { elementsOf, integersOf, allocateElements, fromElements, fromNumbers } from '../../tensor/elements.ts'
import { elementCount, int64, scalar, type Tensor } from '../../tensor/tensor.ts'
import { inferredIntegers, required, unknownDims } from '../families/axes.ts'
import { sizeLeft, withInputs } from '../families/cutting.ts'
import { tensorAttribute, type Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const constantOfShape = defineOperator({
  type: 'ConstantOfShape',
  since: 21,
  summary: 'Makes a tensor of the given shape that holds one value everywhere.',
  infer: (context) => {
    const { dtype } = value(context.node)
    const shape = inferredIntegers(context, 0)
    const rank = context.inputs[0]?.shape?.[0]
    if (Array.isArray(shape)) return [{ dtype, shape }]
    return [{ dtype, shape: typeof rank === 'number' ? unknownDims(rank) : undefined }]
  },
  evaluate: (context) => {
    const one = value(context.node)
    const shape = integersOf(required(context, 0))
    const elements = allocateElements(one.dtype, elementCount(shape))
    elements.fill(elementsOf(one)[0] as never)
    return [fromElements(one.dtype, shape, elements)]
  },
  differentiable: 'none',
  /** What is the same everywhere can be cut anywhere. */
  coupling: ({ outputs: [y], constant }) =>
    constant?.(0) ? y.shape.map((_, axis) => ({ ports: [{ side: 'output', index: 0, axis }] })) : [],
  cut: ({ node, outputs: [y], keptOutputs: [kept], literal }) =>
    withInputs(node, { 0: literal(int64(y.shape.map((size, axis) => sizeLeft(size, kept[axis])))) }),
  samples: [
    { name: 'zeros', inputs: [int64([2, 3])] },
    { name: 'integers', inputs: [int64([3])], attributes: { value: fromNumbers('int32', [1], [7]) } },
  ],
})

function value(node: Node): Tensor {
  return tensorAttribute(node, 'value') ?? scalar('float32', 0)
}
