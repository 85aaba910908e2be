import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { DataError, ModelError, UnsupportedError, type EspalierError } from '../../../../src/errors.ts'
import { buildCaffeModel, caffeParameters } from '../../../../src/formats/caffe/build.ts'
import { readCaffeNetwork } from '../../../../src/formats/caffe/network.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../../src/tensor/tensor.ts'

/** The model of a network with random weights. */
function build(text: string): Model {
  const random = createRandom(1)
  const noise = (shape: readonly number[]) =>
    float32(
      Float32Array.from({ length: elementCount(shape) }, () => random.normal() * 0.1),
      shape,
    )
  return buildCaffeModel(readCaffeNetwork(text, 'net.prototxt'), ({ layer, shape, outputs }, draft) => [
    draft.constant(`${layer}.weight`, noise(shape)),
    draft.constant(`${layer}.bias`, noise([outputs])),
  ])
}

const shapes = (text: string) => caffeParameters(readCaffeNetwork(text, 'net.prototxt')).map(({ shape }) => shape)

async function outputs(model: Model, shape: readonly number[], values?: Float32Array, engine = onnxruntime) {
  const random = createRandom(2)
  const data = values ?? Float32Array.from({ length: elementCount(shape) }, () => random.normal())
  const session = await engine.createSession(model)
  const result = await session.run({ data: float32(data, shape) })
  await session.close()
  return Object.values(result)
}

const input = (...dims: number[]) => `input: "data" input_shape { ${dims.map((dim) => `dim: ${dim}`).join(' ')} }\n`
const layer = (name: string, type: string, bottom: string, more = '') =>
  `layer { name: "${name}" type: "${type}" bottom: "${bottom}" top: "${name}" ${more} }\n`

describe('networks of the literature', () => {
  it('LeNet, in the form of today and of 2014', () => {
    const now = `${input(64, 1, 28, 28)}${layer('conv1', 'Convolution', 'data', 'convolution_param { num_output: 20 kernel_size: 5 }')}
      ${layer('pool1', 'Pooling', 'conv1', 'pooling_param { pool: MAX kernel_size: 2 stride: 2 }')}
      ${layer('ip1', 'InnerProduct', 'pool1', 'inner_product_param { num_output: 10 }')}
      ${layer('prob', 'Softmax', 'ip1')}`
    const old = `name: "LeNet" input: "data" input_dim: 64 input_dim: 1 input_dim: 28 input_dim: 28
      layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2
        convolution_param { num_output: 20 kernel_h: 5 kernel_w: 5 weight_filler { type: "xavier" } } }
      layers { name: "pool1" type: POOLING bottom: "conv1" top: "pool1" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
      layers { name: "ip1" type: INNER_PRODUCT bottom: "pool1" top: "ip1" inner_product_param { num_output: 10 } }
      layers { name: "prob" type: SOFTMAX bottom: "ip1" top: "prob" }`
    expect(shapes(now)).toEqual([
      [20, 1, 5, 5],
      [10, 2880],
    ])
    expect(build(old).graph.nodes).toEqual(build(now).graph.nodes)
  })

  it('AlexNet: groups, normalization, an input layer, layers in place, and one for training only', async () => {
    const text = `layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 10 dim: 3 dim: 67 dim: 67 } } }
      ${layer('conv1', 'Convolution', 'data', 'convolution_param { num_output: 8 kernel_size: 11 stride: 4 }')}
      layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
      ${layer('norm1', 'LRN', 'conv1', 'lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }')}
      ${layer('pool1', 'Pooling', 'norm1', 'pooling_param { pool: MAX kernel_size: 3 stride: 2 }')}
      ${layer('conv2', 'Convolution', 'pool1', 'convolution_param { num_output: 6 pad: 2 kernel_size: 5 group: 2 }')}
      ${layer('fc6', 'InnerProduct', 'conv2', 'inner_product_param { num_output: 7 }')}
      layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" relu_param { negative_slope: 0.1 } }
      layer { name: "drop6" type: "Dropout" bottom: "fc6" top: "fc6" dropout_param { dropout_ratio: 0.5 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc6" bottom: "label" top: "loss" include { phase: TRAIN } }`
    const model = build(text)
    expect(shapes(text)).toEqual([
      [8, 3, 11, 11],
      [6, 4, 5, 5],
      [7, 294],
    ])
    expect(verify(model)).toEqual([])
    expect(model.graph.nodes.map(({ op }) => op)).toEqual([
      'Conv',
      'Relu',
      'LRN',
      'MaxPool',
      'Conv',
      'Flatten',
      'Gemm',
      'LeakyRelu',
    ])
    expect((await outputs(model, [2, 3, 67, 67])).map(({ shape }) => shape)).toEqual([[2, 7]])
  })

  it('joins, sums, scales, several outputs, one blob by two names', async () => {
    const text = `${input(1, 2, 4, 4)}
      ${layer('conv_a', 'Convolution', 'data', 'convolution_param { num_output: 2 kernel_size: 3 pad: 1 dilation: 1 }')}
      layer { name: "twice" type: "Split" bottom: "conv_a" top: "one" top: "two" }
      ${layer('conv_scale', 'Scale', 'one', 'scale_param { bias_term: true }')}
      layer { name: "sum" type: "Eltwise" bottom: "conv_scale" bottom: "two" bottom: "data" top: "sum"
        eltwise_param { operation: SUM coeff: 1 coeff: -1 coeff: 0.5 } }
      layer { name: "most" type: "Eltwise" bottom: "sum" bottom: "two" top: "most" eltwise_param { operation: MAX } }
      layer { name: "join" type: "Concat" bottom: "sum" bottom: "most" top: "join" }
      ${layer('flat', 'Flatten', 'join')}
      ${layer('curve', 'TanH', 'data')}`
    const model = build(text)
    expect(verify(model)).toEqual([])
    expect(shapes(text)).toEqual([
      [2, 2, 3, 3],
      [2, 1, 1, 1],
    ])
    const own = await outputs(model, [3, 2, 4, 4])
    expect(own.map(({ shape }) => shape)).toEqual([
      [3, 64],
      [3, 2, 4, 4],
    ])
    const reference = await outputs(model, [3, 2, 4, 4], undefined, referenceEngine)
    for (const [i, { data }] of own.entries())
      for (const [at, value] of (data as Float32Array).entries())
        expect(value).toBeCloseTo((reference[i].data as Float32Array)[at], 4)
  })
})

/** Caffe's own loops, pooling_layer.cpp: a plane [height, width] pooled. */
function caffePool(plane: Float32Array, size: readonly number[], k: number, s: number, p: number, mean: boolean) {
  const pooled = size.map((length) => {
    const count = Math.ceil((length + 2 * p - k) / s) + 1
    return p > 0 && (count - 1) * s >= length + p ? count - 1 : count
  })
  const result: number[] = []
  for (let ph = 0; ph < pooled[0]; ph++)
    for (let pw = 0; pw < pooled[1]; pw++) {
      const [hs, ws] = [ph * s - p, pw * s - p]
      const [he, we] = [Math.min(hs + k, size[0] + p), Math.min(ws + k, size[1] + p)]
      const area = (he - hs) * (we - ws)
      const inside: number[] = []
      for (let h = Math.max(hs, 0); h < Math.min(he, size[0]); h++)
        for (let w = Math.max(ws, 0); w < Math.min(we, size[1]); w++) inside.push(plane[h * size[1] + w])
      result.push(mean ? inside.reduce((sum, value) => sum + value, 0) / area : Math.max(...inside))
    }
  return { pooled, result }
}

describe('pooling', () => {
  it('rounds up, clips and divides as Caffe does', async () => {
    const setting = fc
      .record({
        height: fc.integer({ min: 3, max: 9 }),
        width: fc.integer({ min: 3, max: 9 }),
        kernel: fc.integer({ min: 1, max: 3 }),
        more: fc.integer({ min: 0, max: 2 }),
        padding: fc.integer({ min: 0, max: 2 }),
        mean: fc.boolean(),
      })
      .map((s) => ({ ...s, stride: 1 + (s.more % s.kernel), padding: Math.min(s.padding, s.kernel - 1) }))
    await fc.assert(
      fc.asyncProperty(setting, async ({ height, width, kernel, stride, padding, mean }) => {
        const options = `pool: ${mean ? 'AVE' : 'MAX'} kernel_size: ${kernel} stride: ${stride} pad: ${padding}`
        const model = build(
          `${input(1, 1, height, width)}${layer('pool', 'Pooling', 'data', `pooling_param { ${options} }`)}`,
        )
        const plane = Float32Array.from({ length: height * width }, (_, i) => Math.sin(i * 7 + 1))
        const [{ shape, data }] = await outputs(model, [1, 1, height, width], plane)
        const { pooled, result } = caffePool(plane, [height, width], kernel, stride, padding, mean)
        expect(shape).toEqual([1, 1, ...pooled])
        result.forEach((value, i) => expect((data as Float32Array)[i]).toBeCloseTo(value, 5))
      }),
      { numRuns: 60, seed: 1 },
    )
  })

  it('takes whole planes', async () => {
    const text = `${input(1, 3, 5, 6)}${layer('mean', 'Pooling', 'data', 'pooling_param { pool: AVE global_pooling: true }')}`
    const [{ shape }] = await outputs(build(text), [2, 3, 5, 6])
    expect(shape).toEqual([2, 3, 1, 1])
  })
})

describe('what cannot be built', () => {
  const conv = (options: string) =>
    input(1, 4, 8, 8) + layer('conv1', 'Convolution', 'data', `convolution_param { ${options} }`)
  it.each<[string, string, typeof DataError | typeof ModelError | typeof UnsupportedError, RegExp]>([
    [
      'a dangling bottom',
      input(1, 4) + layer('fc', 'ReLU', 'nothing'),
      ModelError,
      /reads 'nothing', which no layer makes/,
    ],
    ['a cycle', input(1, 4) + layer('a', 'ReLU', 'b') + layer('b', 'ReLU', 'a'), ModelError, /which only 'b'/],
    [
      'two layers of a name',
      input(1, 4) + layer('a', 'ReLU', 'data').repeat(2),
      DataError,
      /two layers are called 'a'/,
    ],
    ['no input', layer('a', 'ReLU', 'data'), UnsupportedError, /what its input is/],
    ['no layers', input(1, 4), DataError, /no layers/],
    ['a missing shape', 'input: "data" input_dim: 1\n' + layer('a', 'ReLU', 'data'), DataError, /four input_dim/],
    ['a huge input', input(2 ** 24, 2 ** 24) + layer('a', 'ReLU', 'data'), DataError, /too large/],
    ['a huge layer', conv('num_output: 99999999 kernel_size: 1'), DataError, /num_output/],
    ['a huge kernel', conv('num_output: 1 kernel_size: 16777216'), UnsupportedError, /kernel larger than its input/],
    ['a huge padding', conv('num_output: 1 kernel_size: 1 pad: 16777216'), DataError, /too large/],
    ['groups that do not divide', conv('num_output: 4 kernel_size: 1 group: 3'), UnsupportedError, /in 3 groups/],
    ['no bias', conv('num_output: 4 kernel_size: 1 bias_term: false'), UnsupportedError, /'conv1' has no bias/],
    ['an unknown option', conv('num_output: 4 kernel_size: 1 shuffle: 2'), UnsupportedError, /option 'shuffle'/],
    ['an unknown type', input(1, 4) + layer('a', 'ArgMax', 'data'), UnsupportedError, /of type ArgMax/],
    ['a batch normalization', input(1, 4) + layer('bn', 'BatchNorm', 'data'), UnsupportedError, /'bn' is a batch norm/],
    ['a factor without shift', input(1, 4, 2, 2) + layer('s', 'Scale', 'data'), UnsupportedError, /'s' has no bias/],
    ['training data', layer('data', 'Data', 'x'), UnsupportedError, /input/],
    ['a stage', input(1, 4) + layer('a', 'ReLU', 'data', 'include { stage: "x" }'), UnsupportedError, /rule 'stage'/],
  ])('%s', (_, text, type, message) => {
    try {
      build(text)
      expect.fail('it was built')
    } catch (error) {
      expect(error).toBeInstanceOf(type)
      expect((error as EspalierError).message).toMatch(message)
      expect((error as EspalierError).place).toMatch(/net\.prototxt/)
      expect((error as EspalierError).hint).toBeTruthy()
    }
  })
})
