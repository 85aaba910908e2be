import { describe, expect, it } from 'vitest'
import { modelCost } from '../../../src/ir/cost.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { zeros } from '../../../src/tensor/tensor.ts'

describe('modelCost', () => {
  it('counts the multiply-accumulates of LeNet-5 for one example', () => {
    const draft = createDraft()
    const weight = (name: string, shape: number[]) => draft.constant(name, zeros('float32', shape))
    let value = draft.input('x', 'float32', ['N', 1, 28, 28])
    value = draft.add('Conv', [value, weight('w1', [20, 1, 5, 5])])
    value = draft.add('MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2] })
    value = draft.add('Conv', [value, weight('w2', [50, 20, 5, 5])])
    value = draft.add('MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2] })
    value = draft.add('Flatten', [value])
    value = draft.add('Relu', [draft.add('Gemm', [value, weight('w3', [500, 800])], { transB: 1 })])
    draft.output(draft.add('Gemm', [value, weight('w4', [10, 500])], { transB: 1 }))
    const { nodes, total } = modelCost(draft.finish())
    const macs = nodes.filter(({ cost }) => cost!.macs > 0).map(({ cost }) => cost!.macs)
    expect(macs).toEqual([288_000, 1_600_000, 400_000, 5_000])
    expect(total.macs).toBe(2_293_000)
    expect(nodes[0].cost!.bytesWritten).toBe(20 * 24 * 24 * 4)
    expect(nodes[0].cost!.bytesRead).toBe((28 * 28 + 20 * 25) * 4)
  })

  it('says why a cost is not known', () => {
    const draft = createDraft()
    draft.input('x', 'float32', ['N', 4])
    draft.opsets.set('acme', 1)
    const middle = draft.add('Mystery', ['x'], {}, { domain: 'acme' })
    draft.output(draft.add('Relu', [middle], {}, { outputs: ['y'] }))
    const { nodes, total } = modelCost(draft.finish())
    expect(nodes.map(({ why }) => why)).toEqual([
      'the operator acme.Mystery is unknown',
      expect.stringContaining('the shape of'),
    ])
    expect(total).toEqual({ macs: 0, bytesRead: 0, bytesWritten: 0 })
  })
})
