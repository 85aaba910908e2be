import { describe, expect, it } from 'vitest'
import type { AttributeValue } from '../../../../src/ir/draft.ts'
import { operators } from '../../../../src/ir/ops/index.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { float32, int64, type Tensor } from '../../../../src/tensor/tensor.ts'
import { sampleNode } from '../../../support/operator-sample.ts'

function evaluate(key: string, inputs: Tensor[], attributes: Record<string, AttributeValue> = {}) {
  const record = operators.get(key)!
  return [...toNumbers(record.evaluate!({ node: sampleNode(record, { name: '', inputs, attributes }), inputs })[0])]
}

describe('softmax cross-entropy', () => {
  it('of equal scores is the logarithm of the number of classes', () => {
    const [loss] = evaluate('SoftmaxCrossEntropyLoss', [float32([3, 3, 3, 3], [1, 4]), int64([2])])
    expect(loss).toBeCloseTo(Math.log(4), 6)
  })

  it('does not overflow', () => {
    const scores = float32([1000, 0, -1000, 1000], [2, 2])
    const losses = evaluate('SoftmaxCrossEntropyLoss', [scores, int64([0, 0])], { reduction: 'none' })
    expect(losses[0]).toBeCloseTo(0, 6)
    expect(losses[1]).toBeCloseTo(2000, 3)
  })

  it('has a gradient that sums to zero for each example and is zero for ignored labels', () => {
    const scores = float32([0.1, 0.7, -0.3, 1, 2, 3], [2, 3])
    const attributes = { reduction: 'mean', ignore_index: 1 }
    const gradient = evaluate('espalier.SoftmaxCrossEntropyGrad', [float32([1], []), scores, int64([2, 1])], attributes)
    expect(gradient[0] + gradient[1] + gradient[2]).toBeCloseTo(0, 6)
    expect(gradient[2]).toBeLessThan(0)
    expect(gradient.slice(3)).toEqual([0, 0, 0])
  })
})
