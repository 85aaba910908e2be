import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { calibrationSet, inputMoments } from '../../../../../src/methods/calibration.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { binaryWeightsHashing } from '../../../../../src/methods/quantization/weights/binary-weights-hashing.ts'
import { toNumbers } from '../../../../../src/tensor/elements.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { patternData } from '../../../../support/small-data.ts'

function contextOf(inputShape: readonly number[], skipped: string[] = []): Context {
  const data = patternData({ size: 64, seed: 1, classes: 4, inputShape })
  return {
    seed: 1,
    engine: onnxruntime,
    data: { train: data, validation: data },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
  }
}

const noise = (seed: number, shape: readonly number[]) => {
  const random = createRandom(seed)
  return float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  )
}

function network(op: 'Conv' | 'ConvTranspose' = 'Conv'): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['n', 2, 5, 5])
  const first = draft.add('Conv', [x, draft.constant('w1', noise(1, [4, 1, 3, 3]))], { group: 2 }, { name: 'first' })
  const active = draft.add('Relu', [first])
  const kernel = draft.constant('w2', noise(2, op === 'Conv' ? [3, 4, 2, 2] : [4, 3, 2, 2]))
  draft.output(draft.add(op, [active, kernel], {}, { name: 'second' }), 'float32')
  return draft.finish()
}

const apply = (model: Model, context: Context, options: object = {}) =>
  binaryWeightsHashing.apply(model, binaryWeightsHashing.options.parse({ retrain: false, ...options }), context)

/** The squared error of a row's output, relative to that of the output, on the moments of the layer's inputs. */
function relativeError(gram: Float64Array, row: readonly number[], other: readonly number[]): number {
  const size = row.length
  const form = (values: readonly number[]) =>
    values.reduce((sum, a, i) => sum + values.reduce((s, b, j) => s + a * gram[i * size + j] * b, 0), 0)
  return form(row.map((value, i) => value - other[i])) / form(row)
}

describe('binary-weights-hashing', () => {
  it('keeps a scale a filter and signs, no worse at the outputs than plain signs, close to the best of all patterns', async () => {
    const model = network()
    const context = contextOf([2, 5, 5])
    const options = { samples: 64, damping: 1e-6 }
    const result = await apply(model, context, options)
    const moments = await inputMoments(model, layers(model), calibrationSet(context), 64, context)
    const { gram } = moments.get('w1')!
    const codes = toNumbers(result.graph.initializers.get('w1.codes')!)
    const scale = toFloat32(result.graph.initializers.get('w1.scale')!)
    expect(result.graph.initializers.get('w1.codes')!.dtype).toBe('int4')
    expect(codes.every((code) => Math.abs(code) === 1) && scale.every((value) => value > 0)).toBe(true)
    const weights = toFloat32(model.graph.initializers.get('w1')!)
    let [found, plain, best] = [0, 0, 0]
    for (let r = 0; r < 4; r++) {
      const own = gram.slice(Math.floor(r / 2) * 81, (Math.floor(r / 2) + 1) * 81)
      const row = [...weights.subarray(r * 9, r * 9 + 9)]
      const times = (values: readonly number[]) =>
        Array.from({ length: 9 }, (_, i) => values.reduce((sum, value, j) => sum + own[i * 9 + j] * value, 0))
      const withScale = (signs: readonly number[]) => {
        const image = times(signs)
        const product = (other: readonly number[]) => other.reduce((sum, value, i) => sum + value * image[i], 0)
        return signs.map((sign) => (sign * product(row)) / product(signs))
      }
      const patterns = Array.from({ length: 512 }, (_, n) =>
        Array.from({ length: 9 }, (__, j) => ((n >> j) & 1) * 2 - 1),
      )
      const errors = patterns.map((signs) => relativeError(own, row, withScale(signs)))
      best += Math.min(...errors)
      plain += relativeError(own, row, withScale(row.map((value) => (value < 0 ? -1 : 1))))
      found += relativeError(
        own,
        row,
        [...codes.subarray(r * 9, r * 9 + 9)].map((code) => code * scale[r]),
      )
    }
    expect(found).toBeGreaterThanOrEqual(best - 1e-4)
    expect(found).toBeLessThanOrEqual(plain + 1e-4)
    expect(found).toBeLessThan(1.2 * best)
  })

  it('measures the inputs of a layer behind the layers that are done', async () => {
    const model = network()
    const context = contextOf([2, 5, 5])
    const both = await apply(model, context)
    const alone = await apply(model, context, { exclude: ['first'] })
    const scaleOf = (result: Model) => toFloat32(result.graph.initializers.get('w2.scale')!)
    expect(scaleOf(both)).not.toEqual(scaleOf(alone))
    expect(alone.graph.initializers.get('w1')).toBe(model.graph.initializers.get('w1'))
  })

  it('leaves rows of zeros exactly that', async () => {
    const model = network()
    const weights = toFloat32(model.graph.initializers.get('w1')!).slice()
    weights.fill(0, 9, 18)
    const initializers = new Map(model.graph.initializers).set('w1', float32(weights, [4, 1, 3, 3]))
    const result = await apply({ ...model, graph: { ...model.graph, initializers } }, contextOf([2, 5, 5]))
    const codes = toNumbers(result.graph.initializers.get('w1.codes')!)
    expect([...codes.subarray(9, 18)]).toEqual(Array.from({ length: 9 }, () => 0))
    expect(toFloat32(result.graph.initializers.get('w1.scale')!)[1]).toBe(1)
  })

  it('leaves transposed convolutions alone, with the reason', async () => {
    const skipped: string[] = []
    await apply(network('ConvTranspose'), contextOf([2, 5, 5], skipped))
    expect(skipped).toEqual([expect.stringMatching(/^second: the rows of a transposed convolution/)])
  })

  it('is fine-tuned with signs and scales that stay such', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 2, 5, 5])
    const active = draft.add('Relu', [draft.add('Conv', [x, draft.constant('w1', noise(1, [8, 2, 3, 3]))])])
    const flat = draft.add('Flatten', [active])
    draft.output(draft.add('MatMul', [flat, draft.constant('w2', noise(2, [72, 4]))]), 'float32', ['n', 4])
    const model = draft.finish()
    const context = contextOf([2, 5, 5])
    const training = { epochs: 20, batchSize: 16, optimizer: 'adam', learningRate: 0.03 } as const
    const [before, after] = [await apply(model, context), await apply(model, context, { retrain: training })]
    const loss = async (one: Model) => (await evaluate(one, context.data!.train, onnxruntime)).loss
    expect(await loss(after)).toBeLessThan(0.8 * (await loss(before)))
    for (const name of ['w1.codes', 'w2.codes'])
      expect(toNumbers(after.graph.initializers.get(name)!).every((code) => Math.abs(code) === 1)).toBe(true)
  })
})
