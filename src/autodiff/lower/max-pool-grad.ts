import { elementType } from '../../ir/element-type.ts'
import type { Graph, Node } from '../../ir/model.ts'
import { poolWindows } from '../../ir/families/pooling.ts'
import { resultShape } from '../../ir/windows.ts'
import { elementCount, float32, int64 } from '../../tensor/tensor.ts'
import type { Formulation, LowerContext } from './formulation.ts'

/**
 * Windows side by side: an element got through where it equals its window's maximum, which is repeated over the window.
 * Where several do, they share the gradient evenly. As counting them costs a pooling, it is done only when there are
 * more such elements than windows.
 */
const repeatedMaximum: Formulation = {
  name: 'repeated-maximum',
  applies({ node, inputs: [dy], shape, dtype }) {
    const x = resultShape(node)
    const { kernel, strides, dilations } = poolWindows(node, x)
    const tiles = kernel.every(
      (size, axis) => strides[axis] === size && dilations[axis] === 1 && shape(dy!)[axis + 2] * size === x[axis + 2],
    )
    return tiles && dtype(dy!) === 'float32' && x.length === 4
  },
  write(context) {
    const { node, inputs, emit, declare, literal, dtype, shape } = context
    const [dy, x, y] = inputs as [string, string, string]
    const sizes = resultShape(node)
    const { kernel } = poolWindows(node, sizes)
    const scales = literal(float32([1, 1, ...kernel]))
    const repeat = (value: string) =>
      declare(
        emit('Resize', [value, undefined, scales], {
          mode: 'nearest',
          coordinate_transformation_mode: 'asymmetric',
          nearest_mode: 'floor',
        }),
        { dtype: dtype(x), shape: sizes },
      )
    const mask = emit('Cast', [emit('Equal', [x, repeat(y)])], { to: elementType(dtype(x)) })
    const windows = literal(elementCount(shape(dy)) + 0.5, x)
    const ties = emit('Greater', [emit('ReduceSum', [mask], { keepdims: 0 }), windows])
    const each = emit('If', [ties], {
      then_branch: sharedOut(context, dy, mask, kernel),
      else_branch: untouched(context, dy),
    })
    return [emit('Mul', [mask, repeat(declare(each, { dtype: dtype(x), shape: shape(dy) }))])]
  },
}

/** dy divided by the number of maxima in each window: the mean of the mask over it, times its size. */
function sharedOut(context: LowerContext, dy: string, mask: string, kernel: readonly number[]): Graph {
  const [share, size, count, each] = ['share', 'size', 'count', 'each'].map((name) => context.fresh(name))
  const node = (op: string, inputs: string[], output: string, attributes: Node['attributes'] = {}): Node => ({
    name: output,
    op,
    domain: '',
    inputs,
    outputs: [output],
    attributes,
  })
  const window = { kind: 'ints' as const, value: kernel }
  return branch(context, dy, each, [
    node('AveragePool', [mask], share, { kernel_shape: window, strides: window }),
    node('Constant', [], size, { value: { kind: 'tensor', value: float32([elementCount(kernel)], []) } }),
    node('Mul', [share, size], count),
    node('Div', [dy, count], each),
  ])
}

function untouched(context: LowerContext, dy: string): Graph {
  const each = context.fresh('each')
  return branch(context, dy, each, [
    { name: each, op: 'Identity', domain: '', inputs: [dy], outputs: [each], attributes: {} },
  ])
}

function branch({ dtype, shape }: LowerContext, dy: string, output: string, nodes: readonly Node[]): Graph {
  const outputs = [{ name: output, type: { dtype: dtype(dy), shape: shape(dy) } }]
  return { name: output, nodes, inputs: [], outputs, initializers: new Map(), values: [] }
}

/** Any windows: MaxPool says where the maxima are, and each gradient is added there. Of equals the first gets it. */
const scattered: Formulation = {
  name: 'scattered',
  applies: () => true,
  write({ node, inputs: [dy, x], emit, emitMany, literal }) {
    const shape = resultShape(node)
    const { shape: _, ...attributes } = node.attributes
    const [, indices] = emitMany('MaxPool', [x], 2, attributes)
    const flat = literal(int64([-1]))
    const zeros = emit('Expand', [literal(0, dy), literal(int64([elementCount(shape)]))])
    const sums = emit('ScatterElements', [zeros, emit('Reshape', [indices, flat]), emit('Reshape', [dy, flat])], {
      axis: 0,
      reduction: 'add',
    })
    return [emit('Reshape', [sums, literal(int64([...shape]))])]
  },
}

export const maxPoolGrad: readonly Formulation[] = [repeatedMaximum, scattered]
