import { describe, expect, it } from 'vitest'
import type { AttributeValue } from '../../../../src/ir/draft.ts'
import { noise } from '../../../../src/ir/families/noise.ts'
import { operators } from '../../../../src/ir/ops/index.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { sampleNode } from '../../../support/operator-sample.ts'

function evaluate(key: string, inputs: Tensor[], attributes: Record<string, AttributeValue>, outputs = 1) {
  const record = operators.get(key)!
  return record.evaluate!({ node: sampleNode(record, { name: '', inputs, attributes, outputs }), inputs })
}

const sum = (tensor: Tensor) => toNumbers(tensor).reduce((total, value) => total + value, 0)

describe('MaxPool', () => {
  it('returns maxima and their flat indices', () => {
    const x = float32([1, 5, 2, 4, 3, 0, 6, 7], [1, 2, 2, 2])
    const [y, indices] = evaluate('MaxPool', [x], { kernel_shape: [2, 2] }, 2)
    expect([...toNumbers(y)]).toEqual([5, 7])
    expect([...toNumbers(indices)]).toEqual([1, 7])
  })

  it('gives the whole gradient to the first of equal elements', () => {
    const x = float32([2, 2, 2, 2], [1, 1, 2, 2])
    const attributes = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceil_mode: 0 }
    const [dx] = evaluate('espalier.MaxPoolGrad', [float32([3], [1, 1, 1, 1]), x, float32([2], [1, 1, 1, 1])], {
      ...attributes,
      shape: [1, 1, 2, 2],
    })
    expect([...toNumbers(dx)]).toEqual([3, 0, 0, 0])
  })
})

describe('AveragePool', () => {
  it('divides by the elements in the image, or in the padding too', () => {
    const x = float32([4, 8], [1, 1, 2])
    const attributes = { kernel_shape: [2], strides: [1], pads: [1, 1] }
    expect([...toNumbers(evaluate('AveragePool', [x], attributes)[0])]).toEqual([4, 6, 8])
    const padded = evaluate('AveragePool', [x], { ...attributes, count_include_pad: 1 })[0]
    expect([...toNumbers(padded)]).toEqual([2, 6, 4])
  })

  it('has a gradient that keeps the sum, when nothing of the padding counts', () => {
    const dy = noise(1, [1, 1, 3, 3])
    const [dx] = evaluate('espalier.AveragePoolGrad', [dy], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
      dilations: [1, 1],
      ceil_mode: 0,
      count_include_pad: 0,
      shape: [1, 1, 5, 5],
    })
    expect(sum(dx)).toBeCloseTo(sum(dy), 5)
  })
})
