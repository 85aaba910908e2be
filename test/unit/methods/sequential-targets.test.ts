import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import type { Context } from '../../../src/methods/method.ts'
import { sequentialTargets } from '../../../src/methods/sequential-targets.ts'
import { withInitializers } from '../../../src/methods/weights.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../src/tensor/tensor.ts'
import { patternData } from '../../support/small-data.ts'

const data = patternData({ size: 64, seed: 1, classes: 4, inputShape: [4, 4, 4] })
const context: Context = { seed: 1, engine: onnxruntime, data: { train: data, validation: data }, skip: () => {} }
const options = { samples: 64, damping: 1e-6 }

function noise(seed: number, shape: readonly number[]) {
  const random = createRandom(seed)
  return float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  )
}

/** Two convolutions without an activation between them; the second is grouped. */
function model(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['n', 4, 4, 4])
  const first = draft.add(
    'Conv',
    [x, draft.constant('w1', noise(1, [4, 4, 1, 1]))],
    {},
    { name: 'first', outputs: ['hidden'] },
  )
  const kernel = draft.constant('w2', noise(2, [6, 2, 2, 2]))
  draft.output(draft.add('Conv', [first, kernel], { group: 2 }, { name: 'second' }), 'float32')
  return draft.finish()
}

const rowsOf = (network: Model, name: string, length: number) => {
  const values = toFloat32(network.graph.initializers.get(name)!)
  return Array.from({ length: values.length / length }, (_, r) => [...values.subarray(r * length, (r + 1) * length)])
}

/** The model with each channel of the first layer multiplied by a factor. */
function scaledFirst(network: Model, factors: readonly number[]): Model {
  const values = toFloat32(network.graph.initializers.get('w1')!).map((value, i) => value * factors[Math.floor(i / 4)])
  return withInitializers(network, new Map([['w1', float32(values, [4, 4, 1, 1])]]))
}

describe('sequentialTargets', () => {
  it('are the weights where nothing in front has changed', async () => {
    const network = model()
    const found = (await sequentialTargets(network, network, 'w2', { ...options, damping: 0.1 }, context))!
    expect(found.hessians).toHaveLength(2)
    for (const [r, row] of rowsOf(network, 'w2', 8).entries())
      for (const [k, value] of row.entries()) expect(found.targets[r][k]).toBeCloseTo(value, 4)
  })

  it('make up for what the layers in front have become', async () => {
    const network = model()
    const factors = [2, 0.5, -1, 4]
    const found = (await sequentialTargets(network, scaledFirst(network, factors), 'w2', options, context))!
    for (const [r, row] of rowsOf(network, 'w2', 8).entries())
      for (const [k, value] of row.entries()) {
        const channel = Math.floor(r / 3) * 2 + Math.floor(k / 4)
        expect(found.targets[r][k]).toBeCloseTo(value / factors[channel], 2)
      }
  })

  it('are the least squares fit where it cannot be made up for', async () => {
    const network = model()
    // The second channel is gone: a row is to do with the first what both did.
    const current = scaledFirst(network, [1, 0, 1, 1])
    const { targets, hessians } = (await sequentialTargets(network, current, 'w2', options, context))!
    const plain = rowsOf(network, 'w2', 8)[0]
    const { inputs } = await data.batch(Array.from({ length: 64 }, (_, i) => i))
    const outputs = async (shown: Model) => {
      const session = await onnxruntime.createSession(shown)
      const result = toFloat32(Object.values(await session.run({ x: inputs }))[0])
      await session.close()
      return result
    }
    const wanted = await outputs(network)
    const errorWith = async (row: ArrayLike<number>) => {
      const values = toFloat32(network.graph.initializers.get('w2')!).slice()
      values.set(Array.from(row), 0)
      const got = await outputs(withInitializers(current, new Map([['w2', float32(values, [6, 2, 2, 2])]])))
      let sum = 0
      for (let i = 0; i < got.length; i++) if (Math.floor(i / 9) % 6 === 0) sum += (got[i] - wanted[i]) ** 2
      return sum
    }
    const best = await errorWith(targets[0])
    expect(best).toBeLessThan(await errorWith(plain))
    for (let k = 0; k < 4; k++)
      for (const step of [-0.05, 0.05])
        expect(await errorWith(targets[0].with(k, targets[0][k] + step))).toBeGreaterThan(best)
    expect(hessians[0][0]).toBeGreaterThan(0)
  })
})
