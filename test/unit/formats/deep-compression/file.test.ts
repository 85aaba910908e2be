import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { DataError, EspalierError, UnsupportedError } from '../../../../src/errors.ts'
import { readDeepCompression } from '../../../../src/formats/deep-compression/read.ts'
import { writeDeepCompression } from '../../../../src/formats/deep-compression/write.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { readPack } from '../../../../src/formats/pack/read.ts'
import { writePack } from '../../../../src/formats/pack/write.ts'
import { createDraft, float } from '../../../../src/ir/draft.ts'
import { foldConstants } from '../../../../src/ir/fold.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { kMeans } from '../../../../src/methods/sharing/k-means.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { float32, zeros } from '../../../../src/tensor/tensor.ts'
import { smallFile, smallLayers, smallPrototxt, smallWeights } from '../../../support/deep-compression.ts'

const read = (net: Uint8Array, prototxt = smallPrototxt) =>
  readDeepCompression({ net, netPlace: 'small.net', prototxt, prototxtPlace: 'small.prototxt' })

const weights = smallWeights(1)
const file = smallFile(weights)

function failure(work: () => unknown): EspalierError {
  try {
    work()
  } catch (error) {
    if (error instanceof EspalierError) return error
    throw error
  }
  throw new Error('it did not fail')
}

describe('reading', () => {
  it('gives exactly the weights that the codes stand for, in standard ONNX', () => {
    const { model, notes } = read(file)
    expect(notes).toEqual([])
    expect(verify(model)).toEqual([])
    const plain = foldConstants(model, { all: true })
    const found = layers(plain)
    expect(found.map(({ name }) => name)).toEqual(smallLayers.map(({ name }) => name))
    for (const [i, { codes, codebook, bias }] of weights.entries()) {
      const weight = plain.graph.initializers.get(found[i].weight)!
      expect(weight.shape).toEqual(smallLayers[i].shape)
      expect([...(weight.data as Float32Array)]).toEqual(codes.map((code) => codebook[code]))
      expect(plain.graph.initializers.get(found[i].bias!)!.data).toEqual(bias)
    }
  })

  it('keeps the order and the unused entries of the codebooks', () => {
    const { graph } = read(file).model
    expect(graph.initializers.get('conv1.codebook')!.data).toEqual(weights[0].codebook)
    expect(graph.initializers.get('ip1.indices')!.data).toEqual(Uint8Array.from(weights[2].codes))
  })

  it('takes a view into a larger buffer, wherever it begins', () => {
    const shifted = Buffer.concat([Buffer.from('x'), file]).subarray(1)
    expect(read(shifted).model).toEqual(read(file).model)
  })

  it('runs in onnxruntime, with any batch', async () => {
    const session = await onnxruntime.createSession(read(file).model)
    const { prob } = await session.run({ data: zeros('float32', [3, 2, 9, 9]) })
    await session.close()
    expect(prob.shape).toEqual([3, 5])
    expect((prob.data as Float32Array).reduce((sum, share) => sum + share, 0)).toBeCloseTo(3, 5)
  })

  it('notes entries that stand for nothing: they cannot be written back', () => {
    const [conv1, ...others] = weights
    // Entry 0 gets code 0: a weight that is zero and yet stored.
    const stored = file.slice()
    stored[16 + 4 * 256 + 4 * 4] = 0
    const { model, notes } = read(stored)
    expect(notes).toEqual([expect.stringMatching(/^conv1 is stored in an unusual way/)])
    const first = conv1.codes.findIndex((code) => code !== 0)
    const same = conv1.codes.map((code, i) => (i === first ? 0 : code))
    expect(writeDeepCompression(model)).toEqual(smallFile([{ ...conv1, codes: same }, ...others]))
  })
})

describe('writing', () => {
  it.each([1, 2, 3, 4])('gives what was read back byte for byte, seed %i', (seed) => {
    const bytes = smallFile(smallWeights(seed))
    const { model } = read(bytes)
    for (const same of [model, readModel(writeModel(model)), readPack(writePack(model))])
      expect(writeDeepCompression(same)).toEqual(bytes)
  })

  it('takes a layer of zeros: one entry', () => {
    const model = withoutCodes(read(file).model, 'fc2')
    const bytes = writeDeepCompression(model)
    expect(new Uint32Array(bytes.slice(0, 16).buffer)[3]).toBe(1)
    const plain = foldConstants(read(bytes).model, { all: true })
    expect(new Set(plain.graph.initializers.get('fc2.weight')!.data as Float32Array)).toEqual(new Set([0]))
  })

  it('takes what k-means makes of a pruned model, and gives the same weights back', async () => {
    const model = plainModel({ sparsity: 0.7 })
    const skip = (layer: string, reason: string) => expect.fail(`${layer}: ${reason}`)
    const options = kMeans.options.parse({ bits: 4, retrain: false, layers: { ':conv': { bits: 8 } } })
    const shared = await kMeans.apply(model, options, { seed: 1, engine: onnxruntime, skip })
    const back = foldConstants(read(writeDeepCompression(shared)).model, { all: true })
    const before = foldConstants(shared, { all: true })
    for (const [i, layer] of layers(before).entries())
      expect(back.graph.initializers.get(layers(back)[i].weight)!.data).toEqual(
        before.graph.initializers.get(layer.weight)!.data,
      )
  })

  it('takes plain weights of few values, and products in either order', () => {
    const back = read(
      writeDeepCompression(twoWays()),
      'input: "x" input_shape { dim: 1 dim: 3 }' + layerText('fc1', 'x', 2) + layerText('fc2', 'fc1', 2),
    ).model
    const plain = foldConstants(back, { all: true }).graph.initializers
    expect([...(plain.get('fc1.weight')!.data as Float32Array)]).toEqual([1, 0, 2, 0, 1, 0])
    expect([...(plain.get('fc1.bias')!.data as Float32Array)]).toEqual([5, 6])
    expect([...(plain.get('fc2.weight')!.data as Float32Array)]).toEqual([1, 2, 3, 4])
    expect([...(plain.get('fc2.bias')!.data as Float32Array)]).toEqual([0, 0])
  })

  it.each<[string, () => Model, RegExp, RegExp]>([
    ['too many values', () => plainModel({ sparsity: 0 }), /more values than zero and 15 others/, /k-means, bits 4/],
    ['names', () => plainModel({ sparsity: 1, names: ['conv1', 'conv2', 'dense', 'fc2'] }), /conv, fc or ip/, /Rename/],
    ['a batch normalization', withBatchNorm, /no place for '.*', which this BatchNormalization reads/, /Fold/],
    ['one codebook a channel', () => channelwise(), /neither plain nor read from one codebook/, /granularity tensor/],
  ])('names what does not fit: %s', (_, make, message, hint) => {
    const model = make()
    const error = failure(() => writeDeepCompression(model))
    expect(error).toBeInstanceOf(UnsupportedError)
    expect(error.message).toMatch(message)
    expect(error.hint).toMatch(hint)
    expect(error.place).toMatch(/^(ip1|dense|bn|conv1)$/)
  })
})

describe('damage', () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array, RegExp]>([
    ['an early end', (bytes) => bytes.subarray(0, -1), /ends at byte/],
    ['nothing but a header', (bytes) => bytes.subarray(0, 16), /ends at byte 16/],
    ['an empty file', () => new Uint8Array(), /too few for the header of 4 layers/],
    ['bytes left over', (bytes) => Uint8Array.from([...bytes, 0]), /1 bytes are left over/],
    ['no entries', (bytes) => withNumber(bytes, 0, 0), /conv1 has 0 entries for 72 weights/],
    ['more entries than weights', (bytes) => withNumber(bytes, 8, 217), /ip1 has 217 entries for 216 weights/],
    ['endless entries', (bytes) => withNumber(bytes, 4, 0xffffffff), /conv2 has 4294967295 entries/],
    ['a codebook without zero', (bytes) => withNumber(bytes, 16, 0x3f800000), /begins with 1, not with 0/],
    ['a codebook with NaN', (bytes) => withNumber(bytes, 24, 0x7fc00000), /number 2 of its codebook is NaN/],
    ['an infinite bias', (bytes) => withNumber(bytes, 16 + 1024, 0x7f800000), /number 0 of its bias is Infinity/],
    ['gaps beyond the tensor', (bytes) => bytes.map((byte, i) => (i >= bytes.length - 4 ? 0xff : byte)), /of 45/],
  ])('%s is a DataError with place and hint', (_, change, message) => {
    const error = failure(() => read(change(file)))
    expect(error).toBeInstanceOf(DataError)
    expect(error.message).toMatch(message)
    expect(error.place).toMatch(/^small\.net/)
    expect(error.hint).toMatch(/whole/)
  })

  it('is found before memory is taken for weights that a prototxt only claims', () => {
    const huge = smallPrototxt.replace('num_output: 9', 'num_output: 16777216')
    expect(failure(() => read(file, huge)).message).toMatch(/asks for 4\d+ weights, more than/)
  })

  it('of any kind ends in a typed error, or in a model that is written back as it is or noted', () => {
    const random = createRandom(7)
    let accepted = 0
    for (let round = 0; round < 600; round++) {
      const bytes = file.slice(0, random.uniform() < 0.1 ? random.integer(file.length) : file.length)
      const text = [...smallPrototxt]
      const inText = random.uniform() < 0.5
      for (let change = random.integer(4); change >= 0; change--) {
        if (inText)
          text.splice(
            random.integer(text.length),
            random.integer(3),
            ['', '9', '{', '}', ' ', '"', 'x'][random.integer(7)],
          )
        else if (bytes.length > 0) bytes[random.integer(bytes.length)] ^= 1 << random.integer(8)
      }
      try {
        const { model, notes } = read(bytes, inText ? text.join('') : smallPrototxt)
        accepted++
        if (notes.length === 0) expect(writeDeepCompression(model)).toEqual(bytes)
      } catch (error) {
        if (!(error instanceof EspalierError)) throw error
        expect(error.place).toBeTruthy()
      }
    }
    expect(accepted).toBeGreaterThan(30)
  })
})

function layerText(name: string, bottom: string, outputs: number): string {
  return `layer { name: "${name}" type: "InnerProduct" bottom: "${bottom}" top: "${name}"
    inner_product_param { num_output: ${outputs} } }\n`
}

function withNumber(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  new DataView(copy.buffer).setUint32(at, value, true)
  return copy
}

/** The model with all codes of a layer zero. */
function withoutCodes(model: Model, layer: string): Model {
  const initializers = new Map(model.graph.initializers)
  const codes = initializers.get(`${layer}.indices`)!
  initializers.set(`${layer}.indices`, zeros('uint8', codes.shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

/** The small network with plain weights, of which a share is zero. */
function plainModel({ sparsity, names }: { sparsity: number; names?: readonly string[] }): Model {
  const random = createRandom(3)
  const model = foldConstants(read(file).model, { all: true })
  const draft = createDraft(model)
  for (const [name, tensor] of draft.initializers)
    if (tensor.shape.length > 1)
      draft.initializers.set(
        name,
        float32(
          Float32Array.from({ length: tensor.data.length }, () => (random.uniform() < sparsity ? 0 : random.normal())),
          tensor.shape,
        ),
      )
  const found = layers(model).map(({ name }) => name)
  draft.nodes.forEach((node, i) => {
    const at = found.indexOf(node.name)
    if (names && at >= 0) draft.nodes[i] = { ...node, name: names[at] }
  })
  return draft.finish()
}

function withBatchNorm(): Model {
  const draft = createDraft(read(file).model)
  const relu = draft.nodes.find(({ name }) => name === 'relu1')!
  const parameters = [1, 0, 0, 1].map((value) => draft.constant('p', float32(new Float32Array(4).fill(value))))
  const normal = draft.add('BatchNormalization', ['conv1', ...parameters], { epsilon: float(1e-5) }, { name: 'bn' })
  draft.nodes[draft.nodes.indexOf(relu)] = { ...relu, inputs: [normal] }
  return draft.finish()
}

/** An offset a channel is added to the codes of the first layer. */
function channelwise(): Model {
  const draft = createDraft(read(file).model)
  const gather = draft.nodes.findIndex(({ name }) => name === 'conv1.weight')
  const node = draft.nodes[gather]
  const offsets = draft.constant('offsets', { dtype: 'int32', shape: [4, 1, 1, 1], data: new Int32Array(4) })
  const sum = draft.add('Add', [node.inputs[1], offsets])
  draft.nodes[gather] = { ...node, inputs: [node.inputs[0], sum] }
  return draft.finish()
}

/** MatMul and Add with weights [in, out], then Gemm with weights [in, out] and no bias. */
function twoWays(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 3])
  const product = draft.add(
    'MatMul',
    [x, draft.constant('a', float32([1, 0, 0, 1, 2, 0], [3, 2]))],
    {},
    { name: 'fc1' },
  )
  const sum = draft.add('Add', [product, draft.constant('b', float32([5, 6]))])
  const y = draft.add('Gemm', [sum, draft.constant('c', float32([1, 3, 2, 4], [2, 2]))], {}, { name: 'fc2' })
  draft.output(y, 'float32', ['N', 2])
  return draft.finish()
}
