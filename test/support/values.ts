import { onnxruntime } from '../../src/engines/onnxruntime.ts'
import type { Dataset } from '../../src/datasets/dataset.ts'
import { createDraft } from '../../src/ir/draft.ts'
import type { Model } from '../../src/ir/model.ts'
import { toFloat32 } from '../../src/tensor/half.ts'

/** What a value of the graph, whose input is called x, is on all examples of the data. */
export async function valueOn(data: Dataset, model: Model, value: string): Promise<Float32Array> {
  const draft = createDraft(model)
  draft.outputs.splice(0)
  draft.output(draft.add('Identity', [value], {}, { outputs: ['watched'] }), 'float32')
  const session = await onnxruntime.createSession(draft.finish())
  const { inputs } = await data.batch(Array.from({ length: data.size }, (_, i) => i))
  const { watched } = await session.run({ x: inputs })
  await session.close()
  return toFloat32(watched)
}
