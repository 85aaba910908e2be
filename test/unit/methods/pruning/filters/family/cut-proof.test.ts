import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { cutChannels } from '../../../../../../src/ir/cut.ts'
import { createCutProof } from '../../../../../../src/methods/pruning/filters/family/cut-proof.ts'
import { tinyModels } from '../../../../../support/tiny-models.ts'

const [{ model }, cnn] = tinyModels()
const removals = new Map([['fc1', [0, 3]]])

describe('createCutProof', () => {
  it('says how far cut and masked models are apart', async () => {
    const proof = createCutProof('some-method', { engine: onnxruntime, seed: 1 })
    expect(proof.check()).toBeUndefined()
    await proof.compare(model, removals, cutChannels(model, removals))
    expect(proof.check()).toMatchObject({ check: 'some-method: masked = cut', passed: true })
  })

  it('stops a run in which other channels were cut than asked for', async () => {
    const proof = createCutProof('some-method', { engine: onnxruntime, seed: 1 })
    const wrong = cutChannels(model, new Map([['fc1', [0, 4]]]))
    await expect(proof.compare(model, removals, wrong)).rejects.toMatchObject({ code: 'cut-differs', place: 'fc1' })
  })

  it('says when it could not compare', async () => {
    const [input] = cnn.model.graph.inputs
    const { shape, ...type } = input.type!
    const open = { ...cnn.model, graph: { ...cnn.model.graph, inputs: [{ ...input, type }] } }
    expect(shape).toHaveLength(4)
    const proof = createCutProof('some-method', { engine: onnxruntime, seed: 1 })
    await proof.compare(open, new Map([['conv1', [0]]]), open)
    expect(proof.check()).toMatchObject({ passed: true, leftOut: true })
  })
})
