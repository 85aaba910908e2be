import { describe, expect, it } from 'vitest'
import { ModelError } from '../../../../src/errors.ts'
import type { AttributeValue } from '../../../../src/ir/draft.ts'
import type { Dim } from '../../../../src/ir/model.ts'
import { operators } from '../../../../src/ir/ops/index.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { float32, int64, type Tensor } from '../../../../src/tensor/tensor.ts'
import { sampleNode } from '../../../support/operator-sample.ts'

const resize = operators.get('Resize')!

function infer(
  shape: readonly Dim[],
  scales: Tensor | undefined,
  sizes?: Tensor,
  attributes: Record<string, AttributeValue> = {},
) {
  const inputs = [float32([]), undefined, scales, sizes]
  const node = sampleNode(resize, { name: '', inputs, attributes })
  const types = [{ dtype: 'float32' as const, shape }, undefined, scales, sizes]
  return resize.infer({ node, inputs: types, constant: (index) => (index > 1 ? inputs[index] : undefined) })[0]!.shape
}

describe('Resize', () => {
  it('keeps a symbolic batch that it does not scale', () => {
    expect(infer(['N', 3, 4, 5], float32([1, 1, 2, 1.5]))).toEqual(['N', 3, 8, 7])
    expect(infer(['N', 3, 4, 5], undefined, int64([9, 9]), { axes: [2, 3] })).toEqual(['N', 3, 9, 9])
    expect(infer(['N', 3, 'H', 5], float32([1, 1, 2, 2]))).toEqual(['N', 3, null, 10])
  })

  it('keeps the aspect ratio where the policy asks for it', () => {
    const sizes = int64([6, 20])
    const attributes = { axes: [2, 3] }
    expect(infer([1, 1, 4, 8], undefined, sizes, { ...attributes, keep_aspect_ratio_policy: 'not_larger' })).toEqual([
      1, 1, 6, 12,
    ])
    expect(infer([1, 1, 4, 8], undefined, sizes, { ...attributes, keep_aspect_ratio_policy: 'not_smaller' })).toEqual([
      1, 1, 10, 20,
    ])
  })

  it('averages two pixels when it halves a line linearly', () => {
    const inputs = [float32([1, 3, 10, 20], [1, 1, 4]), undefined, float32([1, 1, 0.5])]
    const node = sampleNode(resize, { name: '', inputs, attributes: { mode: 'linear' } })
    expect([...toNumbers(resize.evaluate!({ node, inputs })[0])]).toEqual([2, 15])
  })

  it('refuses scales that do not match the axes', () => {
    expect(() => infer([1, 1, 4, 4], float32([2, 2]))).toThrow(ModelError)
  })
})
