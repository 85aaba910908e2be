import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { channelGroups } from '../../../src/ir/channel-groups.ts'
import { maskChannels } from '../../../src/ir/cut.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { withMaskInput } from '../../../src/ir/mask-inputs.ts'
import type { Model } from '../../../src/ir/model.ts'
import { verify } from '../../../src/ir/verify.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import { networks as zoo } from '../../../src/zoo/index.ts'
import { lenet5 } from '../../../src/zoo/lenet-5.ts'
import { largestDifference, randomRemovals, runOnce } from '../../support/channel-cuts.ts'
import { randomFeeds } from '../../support/random-feeds.ts'
import { tinyModels } from '../../support/tiny-models.ts'

const removable = (model: Model) => channelGroups(model).filter(({ reason, size }) => reason === undefined && size > 1)

function withInitializer(model: Model, name: string, value: ReturnType<typeof float32>): Model {
  return { ...model, graph: { ...model.graph, initializers: new Map(model.graph.initializers).set(name, value) } }
}

describe('withMaskInput', () => {
  const networks = ['mobilenet-small', 'resnet-20'].map((name) => ({ name, model: zoo.get(name)!.build({ seed: 1 }) }))
  it.each([...tinyModels(), ...networks])(
    'computes on $name what the masked model computes, whatever the mask',
    async ({ model }) => {
      const ids = removable(model).map(({ id }) => id)
      const masked = withMaskInput(model, ids)
      expect(verify(masked.model)).toEqual([])
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), async (seed) => {
          const removals = randomRemovals(model, seed)
          const feeds = randomFeeds(model, seed)
          const found = await runOnce(withInitializer(masked.model, masked.mask, masked.maskOf(removals)), feeds)
          expect(largestDifference(await runOnce(maskChannels(model, removals), feeds), found)).toBeLessThan(1e-5)
        }),
        { numRuns: 4 },
      )
      const whole = randomFeeds(model, 1)
      expect(largestDifference(await runOnce(model, whole), await runOnce(masked.model, whole))).toBeLessThan(1e-5)
    },
  )

  it('multiplies once behind convolution, bias, activation, pooling and Flatten', () => {
    const { model } = withMaskInput(lenet5({ seed: 1 }), ['conv1', 'conv2'])
    const muls = model.graph.nodes.filter(({ op }) => op === 'Mul')
    expect(muls).toHaveLength(2)
    const readers = muls.map((mul) => model.graph.nodes.find(({ inputs }) => inputs.includes(mul.outputs[0]))!.op)
    expect(readers).toEqual(['Conv', 'Gemm'])
  })

  it('masks floats before they become integers', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['batch', 2])
    const hidden = draft.add(
      'Gemm',
      [x, draft.constant('a', float32([1, 0, 0, 1], [2, 2])), draft.constant('bias', float32([5, 7]))],
      {},
      { name: 'a' },
    )
    const whole = draft.add('Cast', [draft.add('Cast', [hidden], { to: 6 })], { to: 1 })
    draft.output(
      draft.add('MatMul', [whole, draft.constant('b', float32([1, 1], [2, 1]))], {}, { name: 'b' }),
      'float32',
    )
    const masked = withMaskInput(draft.finish(), ['a'])
    const value = masked.maskOf(new Map([['a', [1]]]))
    const outputs = await runOnce(withInitializer(masked.model, masked.mask, value), { x: float32([1, 1], [1, 2]) })
    expect([...Object.values(outputs)[0].data]).toEqual([6])
  })

  it('refuses groups that are not there, and channels of groups that were not named', () => {
    const model = lenet5({ seed: 1 })
    expect(() => withMaskInput(model, ['conv3'])).toThrow(expect.objectContaining({ code: 'unknown-channel-group' }))
    const { maskOf } = withMaskInput(model, ['conv1'])
    expect(() => maskOf(new Map([['conv2', [0]]]))).toThrow(expect.objectContaining({ place: 'conv2' }))
  })
})
