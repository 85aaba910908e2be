import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { ProofCheck } from '../../../../../src/methods/method.ts'
import { learnedStepSizeWeights } from '../../../../../src/methods/quantization/weights/learned-step-size-weights.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [{ model, inputShape, classes }] = tinyModels()

async function applied(options: object) {
  const checks: ProofCheck[] = []
  const data = {
    train: patternData({ size: 96, seed: 1, classes, inputShape, noise: 0.5 }),
    validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.5 }),
  }
  const result = await learnedStepSizeWeights.apply(model, learnedStepSizeWeights.options.parse(options), {
    seed: 1,
    engine: onnxruntime,
    data,
    training: { epochs: 4, batchSize: 16, learningRate: 0.05 },
    skip: () => {},
    proved: (check) => checks.push(check),
  })
  return { steps: stepsOf(result), checks }
}

/** The scales of each layer. */
function stepsOf(model: Model): number[][] {
  return layers(model).map(({ source }) => {
    const { inputs } = source.find(({ op }) => op === 'DequantizeLinear')!
    return [...toFloat32(model.graph.initializers.get(inputs[1])!)]
  })
}

describe('learned step sizes of weights', () => {
  it('start at 2 E|w| / sqrt(Q_P), with one code more below zero', () => {
    const weights = Float32Array.of(1, -3, 0.5, 0, -8, 8)
    const { codes, scale } = learnedStepSizeWeights.quantize(weights, { bits: 3 }) as {
      codes: Int16Array
      scale: number
    }
    // The mean is 20.5 / 6, Q_P is 3, and so the step 3.9453.
    expect(scale).toBeCloseTo((2 * 20.5) / 6 / Math.sqrt(3), 5)
    expect([...codes]).toEqual([0, -1, 0, 0, -2, 2])
    const spiky = Float32Array.from({ length: 100 }, (_, i) => (i === 0 ? -9 : i === 1 ? 9 : 0.1))
    const few = learnedStepSizeWeights.quantize(spiky, { bits: 3 })
    expect([...few.codes.subarray(0, 3)]).toEqual([-4, 3, 0])
  })

  it.each(['tensor', 'channel'])('are trained and written as they were: %s', async (granularity) => {
    const [still, moved] = [
      await applied({ granularity, bits: 3, retrain: false }),
      await applied({ granularity, bits: 3 }),
    ]
    expect(moved.checks.filter(({ passed }) => !passed)).toEqual([])
    expect(moved.checks.map(({ check }) => check)).toContainEqual(expect.stringContaining('computes what was trained'))
    expect(moved.steps.map((own) => own.length)).toEqual(granularity === 'tensor' ? [1, 1] : [16, 4])
    expect(moved.steps).not.toEqual(still.steps)
    expect(moved.steps.flat().every((step) => step > 0)).toBe(true)
  })
})
