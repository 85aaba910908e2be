/** Figures of the literature that need no training and come out exactly. */
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../src/autodiff/gradient.ts'
import { storageWithIndices } from '../../src/codecs/accounting.ts'
import { referenceEngine } from '../../src/engines/reference.ts'
import { readModelFile } from '../../src/formats/onnx/file.ts'
import { createDraft } from '../../src/ir/draft.ts'
import type { Model } from '../../src/ir/model.ts'
import { layers } from '../../src/ir/rewrite.ts'
import { clusterNumbers, nearestCentroids } from '../../src/methods/sharing/cluster.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { createTensor, elementCount, float32 } from '../../src/tensor/tensor.ts'
import { trainableParameters } from '../../src/training/parameters.ts'
import { lenet300100 } from '../../src/zoo/lenet-300-100.ts'
import { lenet5 } from '../../src/zoo/lenet-5.ts'
import { resnet20, resnet32, resnet44, resnet56 } from '../../src/zoo/resnet.ts'
import { sharedData } from '../support/shared-data.ts'

const sizeOf = (model: Model, name: string) => elementCount(model.graph.initializers.get(name)!.shape)

function countParameters(model: Model) {
  const all = layers(model)
  return {
    weights: all.reduce((sum, { weight }) => sum + sizeOf(model, weight), 0),
    biases: all.reduce((sum, { bias }) => sum + (bias ? sizeOf(model, bias) : 0), 0),
  }
}

describe('parameter counts', () => {
  it('of LeNet-300-100 and LeNet-5 are those of Deep Compression, tables 2 and 3: 266K and 431K', () => {
    expect(countParameters(lenet300100({ seed: 1 }))).toEqual({ weights: 266_200, biases: 410 })
    expect(countParameters(lenet5({ seed: 1 }))).toEqual({ weights: 430_500, biases: 580 })
  })

  it('of the layers are those of Deep Compression, tables 2 and 3', () => {
    const weights = (model: Model) => layers(model).map(({ weight }) => sizeOf(model, weight))
    expect(weights(lenet300100({ seed: 1 }))).toEqual([235_200, 30_000, 1_000])
    expect(weights(lenet5({ seed: 1 }))).toEqual([500, 25_000, 400_000, 5_000])
  })

  it.each([
    ['20', resnet20, 0.27],
    ['32', resnet32, 0.46],
    ['44', resnet44, 0.66],
    ['56', resnet56, 0.85],
  ])('of ResNet-%s for CIFAR-10 round to table 6 of He et al. 2016', (_, build, millions) => {
    const model = build({ seed: 1 })
    const count = trainableParameters(model).reduce((sum, name) => sum + sizeOf(model, name), 0)
    expect(Math.round(count / 1e4) / 100).toBe(millions)
  })
})

describe('the compression rate of shared weights, Deep Compression, equation 1', () => {
  /** r = n b / (n log2(k) + k b) for n weights of b bits in k clusters. */
  const rate = (n: number, b: number, k: number) => (n * b) / (n * Math.log2(k) + k * b)

  it('is 3.2 for the figure with 16 weights in 4 clusters', () => {
    const { bytes } = storageWithIndices(new Float32Array(16).fill(1), { bits: 2, indexBits: 5, codebook: 4 })
    expect(rate(16, 32, 4)).toBe(3.2)
    expect((16 * 4) / bytes).toBe(3.2)
  })

  it.each([
    [256, 8, 256],
    [34_848, 8, 256],
    [307_200, 8, 256],
    [400_000, 5, 32],
    [1_000, 5, 32],
  ])('is what our account of storage gives for %i weights in codes of %i bits', (n, bits, k) => {
    const { bytes } = storageWithIndices(new Float32Array(n).fill(1), { bits, indexBits: 8, codebook: k })
    expect((n * 4) / bytes).toBeCloseTo(rate(n, 32, k), 12)
    expect(bytes * 8).toBe(n * bits + k * 32)
  })
})

describe('weight sharing by k-means with centroid fine-tuning, Deep Compression, figure 3', () => {
  const weights = float32(
    [2.09, -0.98, 1.48, 0.09, 0.05, -0.14, -1.08, 2.12, -0.91, 1.92, 0, -1.03, 1.87, 0, 1.53, 1.49],
    [4, 4],
  )
  const gradient = float32(
    [-0.03, -0.01, 0.03, 0.02, -0.01, 0.01, -0.02, 0.12, -0.01, 0.02, 0.04, 0.01, -0.07, -0.02, 0.01, -0.02],
    [4, 4],
  )
  const indices = [3, 0, 2, 1, 1, 1, 0, 3, 0, 3, 1, 0, 3, 1, 2, 2]

  it.each(['linear', 'density'] as const)('finds the four centroids and the indices from a %s start', (start) => {
    const { centroids } = clusterNumbers(weights.data, 4, { initialization: start, random: createRandom(1) })
    const figure = [-1, 0, 1.5, 2]
    expect(centroids).toHaveLength(4)
    centroids.forEach((centroid, i) => expect(centroid).toBeCloseTo(figure[i], 6))
    expect([...nearestCentroids(weights.data, centroids)]).toEqual(indices)
  })

  it('sums the gradients of a cluster, and a step of rate 1 gives the fine-tuned centroids', async () => {
    const draft = createDraft()
    const codebook = draft.constant('codebook', float32([-1, 0, 1.5, 2], [4]))
    const codes = draft.constant('codes', createTensor('int32', [4, 4], Int32Array.from(indices)))
    const upstream = draft.constant('upstream', gradient)
    const product = draft.add('Mul', [draft.add('Gather', [codebook, codes]), upstream])
    draft.output(draft.add('ReduceSum', [product], { keepdims: 0 }, { outputs: ['loss'] }), 'float32', [])
    const { model, gradients } = differentiate(draft.finish(), { loss: 'loss', parameters: [codebook] })
    const session = await referenceEngine.createSession(model)
    const summed = (await session.run({}))[gradients.get(codebook)!]
    await session.close()
    const sums = [...(summed.data as Float32Array)]
    expect(sums.map((sum) => Math.round(sum * 1e5) / 1e5)).toEqual([-0.03, 0.04, 0.02, 0.04])
    const tuned = [-1, 0, 1.5, 2].map((centroid, i) => Math.round((centroid - sums[i]) * 1e5) / 1e5)
    expect(tuned).toEqual([-0.97, -0.04, 1.48, 1.96])
  })
})

describe('the SqueezeNet that the authors of Deep Compression published', () => {
  const path = sharedData('models/squeezenet_v1.0_deepcompression_decoded.onnx')

  // Runs where the model is there; sharedData has said so where it is not.
  it.skipIf(!path)('has a third of its weights left, in at most 255 values a layer', async () => {
    const model = await readModelFile(path!)
    const all = layers(model)
    expect(all).toHaveLength(26)
    const counts = all.map(({ weight }) => {
      const data = model.graph.initializers.get(weight)!.data as Float32Array
      const left = data.filter((value) => value !== 0)
      return { weights: data.length, left: left.length, values: new Set(left).size }
    })
    expect(counts.reduce((sum, { weights }) => sum + weights, 0)).toBe(1_244_448)
    expect(counts.reduce((sum, { left }) => sum + left, 0)).toBe(415_921)
    expect(Math.max(...counts.map(({ values }) => values))).toBeLessThanOrEqual(255)
  })
})
