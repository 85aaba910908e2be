import { createRandom } from '../../src/tensor/random.ts'

/** Two convolutions, the second grouped, and two fully connected layers: 8- and 4-bit codes. */
export const smallPrototxt = `name: "Small"
input: "data"
input_dim: 1 input_dim: 2 input_dim: 9 input_dim: 9
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 group: 2 } }
layer { name: "pool" type: "Pooling" bottom: "conv2" top: "pool" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool" top: "ip1" inner_product_param { num_output: 9 } }
layer { name: "relu2" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "drop" type: "Dropout" bottom: "ip1" top: "ip1" dropout_param { dropout_ratio: 0.5 } }
layer { name: "fc2" type: "InnerProduct" bottom: "ip1" top: "fc2" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }
`

/** The layers that have weights, with their shapes. */
export const smallLayers = [
  { name: 'conv1', shape: [4, 2, 3, 3], bits: 8 },
  { name: 'conv2', shape: [6, 2, 3, 3], bits: 8 },
  { name: 'ip1', shape: [9, 24], bits: 4 },
  { name: 'fc2', shape: [5, 9], bits: 4 },
] as const

export interface SmallLayer {
  readonly codes: readonly number[]
  readonly codebook: Float32Array
  readonly bias: Float32Array
}

/** Layers with many runs of zeros, a long one of 40 among them. */
export function smallWeights(seed: number): SmallLayer[] {
  const random = createRandom(seed)
  return smallLayers.map(({ name, shape, bits }) => {
    const count = shape.reduce((product: number, size) => product * size, 1)
    const codes = Array.from({ length: count }, (_, i) =>
      random.uniform() < 0.6 || (name === 'ip1' && i > 30 && i < 71) ? 0 : 1 + random.integer(2 ** bits - 1),
    )
    const codebook = Float32Array.from({ length: 2 ** bits }, (_, code) => (code === 0 ? 0 : random.normal()))
    return { codes, codebook, bias: Float32Array.from({ length: shape[0] }, () => random.normal()) }
  })
}

/** The file, written as its description says, number by number. */
export function smallFile(layers: readonly SmallLayer[]): Uint8Array {
  const counts: number[] = []
  const body: Buffer[] = []
  for (const [i, { codes, codebook, bias }] of layers.entries()) {
    const entries: { gap: number; code: number }[] = []
    let gap = 0
    const last = codes.findLastIndex((code) => code !== 0)
    for (const code of codes.slice(0, last + 1)) {
      if (code === 0 && gap < 15) {
        gap++
        continue
      }
      entries.push({ gap, code })
      gap = 0
    }
    const nibbles = (values: readonly number[]) =>
      Buffer.from(
        Array.from({ length: (values.length + 1) >> 1 }, (_, k) => values[2 * k] + 16 * (values[2 * k + 1] ?? 0)),
      )
    counts.push(entries.length)
    const stored = entries.map(({ code }) => code)
    body.push(Buffer.from(codebook.buffer), Buffer.from(bias.buffer))
    body.push(smallLayers[i].bits === 8 ? Buffer.from(stored) : nibbles(stored), nibbles(entries.map((e) => e.gap)))
  }
  return new Uint8Array(Buffer.concat([Buffer.from(Uint32Array.from(counts).buffer), ...body]))
}
