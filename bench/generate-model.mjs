/** Writes a VGG-like ONNX model of about so many megabytes with seeded weights: `node bench/generate-model.mjs out.onnx 100`. */
import { createDraft } from '../dist/ir/draft.js'
import { writeModelFile } from '../dist/formats/onnx/file.js'
import { createRandom } from '../dist/tensor/random.js'
import { float32 } from '../dist/tensor/tensor.js'

const [path, megabytes] = [process.argv[2], Number(process.argv[3])]
const random = createRandom(1)
/** Sums of uniform numbers: close enough to trained weights in shape, and quick. */
const weights = (shape) => {
  const count = shape.reduce((a, b) => a * b, 1)
  const scale = Math.sqrt(2 / (count / shape[0]))
  const data = new Float32Array(count)
  for (let i = 0; i < count; i++) data[i] = (random.uniform() + random.uniform() + random.uniform() - 1.5) * 2 * scale
  return float32(data, shape)
}

const draft = createDraft()
let value = draft.input('image', 'float32', ['N', 3, 64, 64])
let channels = 3
const convolution = (out) => {
  const filter = draft.constant('conv_weight', weights([out, channels, 3, 3]))
  const bias = draft.constant('conv_bias', float32(new Float32Array(out)))
  value = draft.add('Relu', [draft.add('Conv', [value, filter, bias], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] })])
  channels = out
}
for (const out of [64, 128, 256, 512]) {
  convolution(out)
  value = draft.add('MaxPool', [value], { kernel_shape: [2, 2], strides: [2, 2] })
}
value = draft.add('Flatten', [value])
let features = 512 * 4 * 4
const convolutions = (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) * 9
const hidden = Math.max(16, Math.round((megabytes * 250_000 - convolutions) / (features + 10)))
for (const out of [hidden, 10]) {
  const matrix = draft.constant('fc_weight', weights([out, features]))
  value = draft.add('Gemm', [value, matrix, draft.constant('fc_bias', float32(new Float32Array(out)))], { transB: 1 })
  if (out === hidden) value = draft.add('Relu', [value])
  features = out
}
draft.output(value, 'float32', ['N', 10])
await writeModelFile(path, draft.finish())
