import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { channelGroups, type ChannelGroup } from '../../../../../../src/ir/channel-groups.ts'
import { maskChannels } from '../../../../../../src/ir/cut.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { nextLayers } from '../../../../../../src/methods/pruning/filters/family/next-layer.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { elementCount, float32, zeros } from '../../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../../support/small-data.ts'
import { tinyModels, type TinyModel } from '../../../../../support/tiny-models.ts'

const samples = 16

async function setting(inputShape: readonly number[], classes = 4) {
  const train = patternData({ size: samples, seed: 1, classes, inputShape })
  const skipped: string[] = []
  const context = {
    seed: 1,
    engine: onnxruntime,
    data: { train, validation: train },
    skip: (layer: string, reason: string) => void skipped.push(`${layer}: ${reason}`),
  }
  const { inputs } = await train.batch(Array.from({ length: samples }, (_, i) => i))
  const x = float32(inputs.data, [samples, ...inputShape])
  return { context, skipped, x }
}

/** What the output of a node is. */
async function outputOf(model: Model, output: string, x: ReturnType<typeof float32>): Promise<Float32Array> {
  const draft = createDraft(model)
  draft.outputs.splice(0)
  draft.output(output, 'float32')
  const session = await onnxruntime.createSession(draft.finish(), { purpose: 'check' })
  try {
    return toFloat32(Object.values(await session.run({ x }))[0])
  } finally {
    await session.close()
  }
}

/** What sums over channels: no depthwise convolution. */
const readersOf = (consumers: ChannelGroup['consumers']) =>
  consumers.filter(({ places }) => places.some((inputs) => inputs.length > 0))

/** The squared error of the layers that read a group when some of its channels are zero: run, not computed. */
async function errorsWithout(
  model: Model,
  { id, consumers }: ChannelGroup,
  removed: number[],
  x: Parameters<typeof outputOf>[2],
) {
  const masked = maskChannels(model, new Map([[id, removed]]))
  return Promise.all(
    readersOf(consumers).map(async ({ layer }) => {
      const [output] = layer.node.outputs
      const [before, after] = await Promise.all([outputOf(model, output, x), outputOf(masked, output, x)])
      return before.reduce((sum, value, i) => sum + (value - after[i]) ** 2, 0)
    }),
  )
}

/** Four channels that a convolution, one of two groups, a transposed one and a depthwise one with a reader read. */
function manyReaders(): TinyModel {
  const draft = createDraft()
  const random = createRandom(3)
  const weight = (name: string, shape: number[]) =>
    draft.constant(
      name,
      float32(
        Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
        shape,
      ),
    )
  const layer = (op: string, input: string, name: string, shape: number[], attributes = {}) =>
    draft.add(op, [input, weight(`${name}.weight`, shape)], attributes, { name })
  const made = draft.add('Relu', [layer('Conv', draft.input('x', 'float32', ['N', 2, 6, 6]), 'make', [4, 2, 3, 3])])
  const depthwise = layer('Conv', made, 'depthwise', [4, 1, 2, 2], { group: 4 })
  const parts = [
    layer('Conv', made, 'plain', [3, 4, 3, 3], { strides: [2, 2] }),
    layer('Conv', made, 'grouped', [6, 2, 2, 2], { group: 2 }),
    layer('ConvTranspose', made, 'transposed', [4, 2, 2, 2], { strides: [2, 2] }),
    layer('Conv', depthwise, 'pointwise', [3, 4, 1, 1]),
  ].map((part) => draft.add('Flatten', [part]))
  draft.output(draft.add('Concat', parts, { axis: 1 }), 'float32')
  return { name: 'many readers', model: draft.finish(), inputShape: [2, 6, 6], classes: 4, trainable: true }
}

const cases = [...tinyModels(), manyReaders()].flatMap(({ name, model, inputShape, classes }) =>
  channelGroups(model)
    .filter(({ reason, consumers, producers, size }) => {
      // Where what reads channels makes some of them as well, their zeros change more than what it reads.
      const readsAndMakes = producers.filter(({ layer }) =>
        consumers.some((other) => other.layer.name === layer.name && other.places.some((inputs) => inputs.length > 0)),
      )
      return !reason && size > 1 && consumers.length > 0 && readsAndMakes.length === 0
    })
    .map((group) => ({ model, inputShape, classes, group, label: `${group.id} of ${name}` })),
)

describe('nextLayers', () => {
  it.each(cases)(
    'foretells the error of what reads the channels: $label',
    async ({ model, inputShape, classes, group }) => {
      const { context, x } = await setting(inputShape, classes)
      const next = (await nextLayers(model, [group], samples, context)).get(group.id)!
      const lost = (removed: number[]) =>
        removed.reduce((sum, i) => sum + removed.reduce((part, j) => part + next.products[i * group.size + j], 0), 0)
      const singles = await Promise.all(
        Array.from({ length: group.size }, (_, i) => errorsWithout(model, group, [i], x)),
      )
      const scales = readersOf(group.consumers).map((_, c) => singles.reduce((sum, errors) => sum + errors[c], 0))
      const relative = (errors: number[]) =>
        errors.reduce((sum, error, c) => sum + (scales[c] ? error / scales[c] : 0), 0)
      const random = createRandom(7)
      const some = Array.from({ length: group.size }, (_, i) => i).filter((i) => i > 0 && random.uniform() < 0.6)
      expect(lost([0])).toBeCloseTo(relative(singles[0]), 4)
      expect(lost(some)).toBeCloseTo(relative(await errorsWithout(model, group, some, x)), 4)
    },
  )

  it('goes by the weights where the inputs of a layer cannot be measured, and says so', async () => {
    const draft = createDraft()
    const weight = float32(
      Float32Array.from({ length: 2 * 3000 }, (_, i) => (i < 3000 ? 1 : 2)),
      [2, 3000],
    )
    const x = draft.input('x', 'float32', ['N', 1])
    const many = draft.add(
      'Gemm',
      [x, draft.constant('up', zeros('float32', [3000, 1]))],
      { transB: 1 },
      { name: 'up' },
    )
    const y = draft.add('Gemm', [many, draft.constant('down', weight)], { transB: 1 }, { name: 'down' })
    draft.output(y, 'float32', ['N', 2])
    const model = draft.finish()
    const group = channelGroups(model).find(({ size }) => size === 3000)!
    const { context, skipped } = await setting([1], 2)
    const next = (await nextLayers(model, [group], samples, context)).get('up')!
    expect(skipped).toEqual([
      expect.stringMatching(/^up: what the next layer makes of its channels cannot be measured/),
    ])
    expect(next.products[0]).toBeCloseTo(1 / 3000, 9)
    expect(next.products[1]).toBe(0)
  })
})
