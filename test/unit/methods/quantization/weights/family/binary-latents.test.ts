import { describe, expect, it } from 'vitest'
import { lower } from '../../../../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { binaryForm } from '../../../../../../src/methods/quantization/weights/family/binary-latents.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { float32, scalar, type Tensor } from '../../../../../../src/tensor/tensor.ts'
import { trainingForward } from '../../../../../../src/training/forward.ts'

const latents = [-3, -1, -0.5, 0, 0.2, 0.9, 1, 2]
const draws = 4000
const shape = [draws, latents.length]

/** The form over as many copies of the latent weights as there are draws. */
function formOf(stochastic: boolean) {
  const draft = createDraft()
  const copies = Float32Array.from({ length: draws * latents.length }, (_, i) => latents[i % latents.length])
  const latent = draft.constant('w', float32(copies, shape))
  const value = binaryForm.forward({
    draft,
    latent,
    shape,
    axes: [0, 1],
    reduced: [1, 1],
    count: copies.length,
    options: { stochastic },
    literal: (number) => draft.constant('literal', scalar('float32', number)),
    noise: () => draft.add('espalier.Noise', [], { shape }),
    reduce: refused,
    parameter: refused,
    constant: refused,
  })
  draft.output(draft.add('Add', [draft.input('zero', 'float32', []), value]), 'float32', shape)
  return draft.finish()
}

function refused(): never {
  throw new Error('signs have no scale')
}

describe('signs that are drawn', () => {
  it('are positive with the probability clip((w + 1) / 2, 0, 1) in training', async () => {
    const training = trainingForward(formOf(true))
    expect(training.random).toMatchObject([{ shape, values: { kind: 'uniform' } }])
    const random = createRandom(5)
    const noise = Float32Array.from({ length: draws * latents.length }, () => random.uniform())
    const feeds = { zero: scalar('float32', 0), [training.random[0].input]: float32(noise, shape) }
    const values = await computed(lower(training.draft.finish()), feeds)
    expect(new Set(values)).toEqual(new Set([-1, 1]))
    for (const [column, w] of latents.entries()) {
      const chance = Math.min(1, Math.max(0, (w + 1) / 2))
      const share = values.filter((value, i) => i % latents.length === column && value === 1).length / draws
      // Four standard deviations: what is certain has none.
      expect(Math.abs(share - chance)).toBeLessThanOrEqual(4 * Math.sqrt((chance * (1 - chance)) / draws))
    }
  })

  it.each([true, false])('are the signs of the weights outside of training, stochastic %s', async (stochastic) => {
    const values = await computed(lower(formOf(stochastic)), { zero: scalar('float32', 0) })
    expect([...values.subarray(0, latents.length)]).toEqual([-1, -1, -1, 1, 1, 1, 1, 1])
  })
})

async function computed(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Float32Array> {
  const session = await onnxruntime.createSession(model)
  const outputs = await session.run(feeds)
  await session.close()
  return toFloat32(outputs[session.outputs[0]])
}
