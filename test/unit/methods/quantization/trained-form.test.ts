import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { constantValues } from '../../../../src/ir/constant-values.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import type { Context, Method, ProofCheck } from '../../../../src/methods/method.ts'
import { binaryWeightNetworks } from '../../../../src/methods/quantization/binary-weight-networks.ts'
import { ternaryWeightNetworks } from '../../../../src/methods/quantization/ternary-weight-networks.ts'
import { toFloat32 } from '../../../../src/tensor/half.ts'
import { patternData } from '../../../support/small-data.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()

function digits(tiny: typeof mlp) {
  const { inputShape, classes } = tiny
  return {
    train: patternData({ size: 96, seed: 1, classes, inputShape, noise: 0.5 }),
    validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.5 }),
  }
}

async function trained(method: Method, tiny: typeof mlp, options: object = {}, more: Partial<Context> = {}) {
  const skipped: string[] = []
  const checks: ProofCheck[] = []
  const context: Context = {
    seed: 1,
    engine: onnxruntime,
    data: digits(tiny),
    training: { epochs: 4, batchSize: 16, learningRate: 0.05 },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
    ...more,
  }
  const result = await method.apply(tiny.model, method.options.parse(options), context)
  expect(verify(result)).toEqual([])
  return { result, skipped, checks }
}

/** The weight of a layer, as the graph computes it. */
function weightOf(model: Model, name: string): Float32Array {
  const { node, input } = layers(model).find((layer) => layer.name === name)!
  return toFloat32(constantValues(model)(node.inputs[input])!)
}

const cases: readonly [Method, object][] = [
  [binaryWeightNetworks, {}],
  [binaryWeightNetworks, { granularity: 'tensor' }],
  [binaryWeightNetworks, { granularity: 'group', groupSize: 4, include: ['fc1'] }],
  [ternaryWeightNetworks, {}],
  [ternaryWeightNetworks, { threshold: 'exact' }],
  [ternaryWeightNetworks, { threshold: 'exact', granularity: 'channel' }],
]

describe('weights trained through their quantization', () => {
  it.each(cases.map(([method, options]) => ({ method, options, label: `${method.name} ${JSON.stringify(options)}` })))(
    'frozen, they compute what was trained: $label',
    async ({ method, options }) => {
      for (const tiny of 'include' in options ? [mlp] : [mlp, cnn]) {
        const { result, skipped, checks } = await trained(method, tiny, options)
        expect(checks.map(({ check, passed, detail }) => [check, passed, detail])).toEqual([
          [expect.stringContaining('codes say'), true, expect.any(String)],
          [expect.stringContaining('computes what was trained'), true, expect.any(String)],
        ])
        const untouched = await trained(method, tiny, { ...options, retrain: false })
        expect(skipped).toEqual(untouched.skipped)
        const [{ name }] = layers(tiny.model)
        expect([...weightOf(result, name)]).not.toEqual([...weightOf(untouched.result, name)])
      }
    },
  )
})
