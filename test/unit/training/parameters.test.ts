import { describe, expect, it } from 'vitest'
import { createDraft } from '../../../src/ir/draft.ts'
import { createTensor, float32, int64 } from '../../../src/tensor/tensor.ts'
import { trainableParameters } from '../../../src/training/parameters.ts'
import { lenet5 } from '../../../src/zoo/lenet-5.ts'
import { resnet20 } from '../../../src/zoo/resnet.ts'

describe('trainableParameters', () => {
  it('finds weights and biases', () => {
    const names = ['conv1', 'conv2', 'fc1', 'fc2'].flatMap((layer) => [`${layer}.weight`, `${layer}.bias`])
    expect(trainableParameters(lenet5({ seed: 1 }))).toEqual(names)
  })

  it('leaves running statistics out', () => {
    const names = trainableParameters(resnet20({ seed: 1 }))
    expect(names).toHaveLength(20 + 2 * 19 + 1)
    expect(names.some((name) => name.includes('running'))).toBe(false)
  })

  it('sees through rearrangement, masks and code books, and takes biases behind products', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 2])
    const weights = (name: string) => draft.constant(name, float32([0.5, 2, 3, 4], [2, 2]))
    const turned = draft.add('Transpose', [draft.add('Identity', [weights('turned')])], { perm: [1, 0] })
    const first = draft.add('MatMul', [x, turned])
    const biased = draft.add('Add', [draft.constant('bias', float32([1, 2])), first])
    const mask = draft.constant('mask', float32([0, 1, 1, 0], [2, 2]))
    const second = draft.add('MatMul', [biased, draft.add('Mul', [mask, weights('masked')])])
    const bits = draft.constant('bits', createTensor('uint8', [2, 2], Uint8Array.of(1, 0, 1, 1)))
    const third = draft.add('MatMul', [
      second,
      draft.add('Mul', [weights('packed'), draft.add('Cast', [bits], { to: 1 })]),
    ])
    const indices = draft.constant('indices', int64([0, 1, 1, 0], [2, 2]))
    const shared = draft.add('Gather', [draft.constant('codebook', float32([0, 1])), indices])
    const fourth = draft.add('MatMul', [third, shared])
    const scaled = draft.add('Mul', [fourth, draft.constant('constant', float32([3, 3]))])
    draft.output(draft.add('Add', [scaled, draft.constant('offset', float32([1, 1]))]), 'float32', ['N', 2])
    expect(trainableParameters(draft.finish())).toEqual(['turned', 'bias', 'masked', 'packed', 'codebook'])
  })
})
