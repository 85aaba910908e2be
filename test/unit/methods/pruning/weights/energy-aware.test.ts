import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { energyAware } from '../../../../../src/methods/pruning/weights/energy-aware.ts'
import { restoreBest } from '../../../../../src/methods/pruning/weights/family/restoring.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../support/small-data.ts'

const pace = async () => {}

/** dᵀ H d summed over the rows, d being what was removed. */
function errorOf(values: readonly Float64Array[], stays: ArrayLike<number>, hessian: Float64Array): number {
  const size = values[0].length
  let sum = 0
  for (const [r, row] of values.entries()) {
    const lost = row.map((value, k) => (stays[r * size + k] === 0 ? value : 0))
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) sum += lost[i] * hessian[i * size + j] * lost[j]
  }
  return sum
}

describe('restoreBest', () => {
  it('sees what weights do together: of two that cancel out none has to come back', async () => {
    // Inputs 0 and 1 are the same, and their weights cancel out; input 2 stands alone and is smaller.
    const hessian = Float64Array.of(1, 1, 0, 1, 1, 0, 0, 0, 1)
    const values = [Float64Array.of(2, -2, 1)]
    const stays = new Float32Array(3)
    await restoreBest({ values, stays, count: 1, metric: () => hessian, pace })
    expect([...stays]).toEqual([0, 0, 1])
  })

  it('brings back in each step what an exhaustive search would', async () => {
    const number = fc.double({ min: -2, max: 2, noNaN: true })
    const cases = fc.record({
      rows: fc.array(fc.array(number, { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
      factor: fc.array(number, { minLength: 16, maxLength: 16 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, factor }) => {
        const hessian = Float64Array.from({ length: 16 }, (_, at) =>
          [0, 1, 2, 3].reduce((sum, k) => sum + factor[4 * Math.floor(at / 4) + k] * factor[4 * (at % 4) + k], 0),
        )
        const values = rows.map((row) => Float64Array.from(row))
        const stays = new Float32Array(4 * rows.length)
        for (let step = 0; step < 3; step++) {
          const errors = [...stays.keys()]
            .filter((i) => stays[i] === 0 && values[Math.floor(i / 4)][i % 4] !== 0)
            .map((i) => errorOf(values, stays.with(i, 1), hessian))
          await restoreBest({ values, stays, count: 1, metric: () => hessian, pace })
          if (errors.length > 0) expect(errorOf(values, stays, hessian)).toBeCloseTo(Math.min(...errors), 6)
        }
      }),
    )
  })
})

/** A wide and a narrow dense layer. */
function network(): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const weight = (name: string, shape: number[]) =>
    draft.constant(
      name,
      float32(
        Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
        shape,
      ),
    )
  const x = draft.input('x', 'float32', ['N', 6])
  const narrow = draft.add('Gemm', [x, weight('w1', [5, 6])], { transB: 1 }, { name: 'narrow' })
  const wide = draft.add('Gemm', [draft.add('Relu', [narrow]), weight('w2', [40, 5])], { transB: 1 }, { name: 'wide' })
  draft.output(wide, 'float32', ['N', 40])
  return draft.finish()
}

describe('energyAware', () => {
  const train = patternData({ size: 64, seed: 1, classes: 3, inputShape: [6] })

  async function pruned(given: object) {
    const order: string[] = []
    const model = network()
    const result = await energyAware.apply(
      model,
      energyAware.options.parse({ sparsity: 0.6, retrain: false, ...given }),
      {
        seed: 1,
        engine: onnxruntime,
        data: { train, validation: train },
        skip: () => {},
        progress: ({ task, detail }) => {
          const layer = detail?.layer
          if (task === 'select' && layer !== undefined) order.push(String(layer))
        },
      },
    )
    return { model, result, order }
  }

  async function outputsOf(model: Model) {
    const { inputs } = await train.batch(Array.from({ length: 64 }, (_, i) => i))
    const session = await onnxruntime.createSession(model, { purpose: 'check' })
    try {
      return toFloat32(Object.values(await session.run({ x: float32(inputs.data, [64, 6]) }))[0])
    } finally {
      await session.close()
    }
  }

  it('begins with the layer that takes most energy, and removes what it was told to', async () => {
    const { result, order } = await pruned({})
    expect(order).toEqual(['wide', 'narrow'])
    const zeros = (name: string) =>
      toFloat32(result.graph.initializers.get(name)!).filter((value) => value === 0).length
    expect([zeros('w1'), zeros('w2')]).toEqual([18, 120])
  })

  it('changes the outputs less than magnitude alone, by what it brings back and by least squares', async () => {
    const before = await outputsOf(network())
    const errorWith = async (given: object) => {
      const after = await outputsOf((await pruned({ include: ['wide'], ...given })).result)
      return after.reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0)
    }
    const magnitudeOnly = await errorWith({ restore: 0, damping: 10 })
    const refitted = await errorWith({ restore: 0, damping: 1e-6 })
    const both = await errorWith({ restore: 0.5, damping: 1e-6 })
    expect(refitted).toBeLessThan(magnitudeOnly)
    expect(both).toBeLessThan(refitted)
  })
})
