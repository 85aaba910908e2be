import { elementType } from '../../ir/element-type.ts'
import { poolWindows } from '../../ir/families/pooling.ts'
import { resultShape } from '../../ir/windows.ts'
import { elementCount, float32, int64 } from '../../tensor/tensor.ts'
import type { Formulation } from './formulation.ts'

/**
 * Windows side by side: an element got through where it equals its window's maximum, which is repeated over the window.
 * Where several do, they share the gradient evenly; the count of a window is the mean of the mask over it times its size.
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
  write({ node, inputs: [dy, x, y], emit, declare, literal, dtype }) {
    const shape = resultShape(node)
    const { kernel } = poolWindows(node, shape)
    const scales = literal(float32([1, 1, ...kernel]))
    const repeat = (value: string) =>
      declare(
        emit('Resize', [value, undefined, scales], {
          mode: 'nearest',
          coordinate_transformation_mode: 'asymmetric',
          nearest_mode: 'floor',
        }),
        { dtype: dtype(x!), shape },
      )
    const mask = emit('Cast', [emit('Equal', [x, repeat(y!)])], { to: elementType(dtype(x!)) })
    const share = emit('AveragePool', [mask], { kernel_shape: [...kernel], strides: [...kernel] })
    const each = emit('Div', [dy, emit('Mul', [share, literal(elementCount(kernel), share)])])
    return [emit('Mul', [mask, repeat(each)])]
  },
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
    const zeros = emit('Expand', [literal(0, dy!), literal(int64([elementCount(shape)]))])
    const sums = emit('ScatterElements', [zeros, emit('Reshape', [indices, flat]), emit('Reshape', [dy, flat])], {
      axis: 0,
      reduction: 'add',
    })
    return [emit('Reshape', [sums, literal(int64([...shape]))])]
  },
}

export const maxPoolGrad: readonly Formulation[] = [repeatedMaximum, scattered]
