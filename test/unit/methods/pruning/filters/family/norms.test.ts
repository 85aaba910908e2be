import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import type { Context } from '../../../../../../src/methods/method.ts'
import { filterL1 } from '../../../../../../src/methods/pruning/filters/filter-l1.ts'
import { filterL2 } from '../../../../../../src/methods/pruning/filters/filter-l2.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'

const context: Context = { seed: 1, engine: onnxruntime, skip: () => undefined }

/** A convolution of three filters of two taps, whose maps of two places are flattened in front of a dense layer. */
function network(filters: readonly number[], reading: readonly number[]): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['batch', 1, 2, 2])
  const weight = draft.constant('conv.weight', float32([...filters], [3, 1, 1, 2]))
  const maps = draft.add('Conv', [x, weight], {}, { name: 'conv' })
  const flat = draft.add('Flatten', [maps], { axis: 1 })
  const dense = draft.constant('fc.weight', float32([...reading], [6, 1]))
  draft.output(draft.add('MatMul', [flat, dense], {}, { name: 'fc' }), 'float32', ['batch', 1])
  return draft.finish()
}

async function survivor(method: typeof filterL1 | typeof filterL2, model: Model, options: object = {}) {
  const result = await method.apply(model, method.options.parse({ keep: 1, ...options }), context)
  return [...toFloat32(result.graph.initializers.get('conv.weight')!)]
}

describe('filter-l1 and filter-l2', () => {
  it('keep the filter of the largest norm, each by its own', async () => {
    // L1: 5 6 4; L2: 5 4.24 4.
    const model = network([5, 0, 3, -3, 0, -4], [1, 1, 1, 1, 1, 1])
    expect(await survivor(filterL1, model)).toEqual([3, -3])
    expect(await survivor(filterL2, model)).toEqual([5, 0])
  })

  it('weigh with outgoing what reads a channel, in all places that it is flattened into', async () => {
    const filters = [5, 0, 3, -3, 0, -4]
    // What reads the channels, L1: 1 1 2; L2: 1 1 √2. The products are 5 6 8 and 5 4.24 5.66.
    const model = network(filters, [1, 0, 0, -1, 1, 1])
    expect(await survivor(filterL1, model, { outgoing: true })).toEqual([0, -4])
    expect(await survivor(filterL2, model, { outgoing: true })).toEqual([0, -4])
    // Now L1: 1.5 1 1.4, products 7.5 6 5.6; L2: 1.5 1 1, products 7.5 4.24 4.
    const other = network(filters, [1.5, 0, 0, -1, 0.7, 0.7])
    expect(await survivor(filterL1, other, { outgoing: true })).toEqual([5, 0])
    expect(await survivor(filterL1, other)).toEqual([3, -3])
  })
})
