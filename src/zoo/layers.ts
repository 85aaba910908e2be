import { createDraft, float, type Draft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import { float32, type Tensor } from '../tensor/tensor.ts'

export interface ConvolutionOptions {
  readonly stride?: number
  /** Zeros added on each side of both spatial axes; default 0. */
  readonly padding?: number
  readonly groups?: number
  /** Whether there is a bias; default true. */
  readonly bias?: boolean
}

/**
 * Layers for building networks: each method appends nodes that read `x` and returns the name of the result.
 * Parameters are called as in PyTorch: `NAME.weight`, `NAME.bias`.
 */
export interface LayerBuilder {
  readonly draft: Draft
  /** `[N, in, H, W]` → `[N, out, H', W']`, with weights `[out, in / groups, kernel, kernel]`. */
  convolution(
    x: string,
    name: string,
    inputs: number,
    outputs: number,
    kernel: number,
    options?: ConvolutionOptions,
  ): string
  /** Batch normalization in its inference form, over `channels`, with scale 1, shift 0, mean 0 and variance 1. */
  batchNorm(x: string, name: string, channels: number): string
  /** `[N, in]` → `[N, out]`, with weights `[out, in]`. `gain` is 2 in front of a ReLU and 1 otherwise. */
  linear(x: string, name: string, inputs: number, outputs: number, gain?: 1 | 2): string
  relu(x: string): string
  maxPool(x: string, kernel: number, stride?: number, padding?: number): string
  globalAveragePool(x: string): string
  flatten(x: string): string
  add(a: string, b: string): string
  concat(parts: readonly string[]): string
}

/**
 * Builds a network: `body` gets the layers and the input's name and returns the name of the logits.
 * Weights are drawn from a normal distribution with variance gain / fan-in: gain 2 (He, Zhang, Ren, Sun: Delving Deep
 * into Rectifiers, ICCV 2015, equation 10) in front of a ReLU. Each parameter has a random stream of its own, so
 * adding a layer does not change the others. Biases start at zero.
 */
export function buildNetwork(
  name: string,
  seed: number,
  inputShape: readonly number[],
  classes: number,
  body: (layers: LayerBuilder, input: string) => string,
): Model {
  const draft = createDraft()
  const input = draft.input('input', 'float32', ['N', ...inputShape])
  const logits = body(createLayers(draft, createRandom(seed)), input)
  draft.nodes.push({
    name: 'logits',
    op: 'Identity',
    domain: '',
    inputs: [logits],
    outputs: ['logits'],
    attributes: {},
  })
  draft.output('logits', 'float32', ['N', classes])
  draft.metadata.set('espalier.network', name)
  return draft.finish()
}

function createLayers(draft: Draft, random: Random): LayerBuilder {
  const normal = (name: string, shape: readonly number[], deviation: number): string => {
    const stream = random.fork(name)
    const size = shape.reduce((product, dimension) => product * dimension, 1)
    return draft.constant(
      name,
      float32(
        Float32Array.from({ length: size }, () => stream.normal() * deviation),
        shape,
      ),
    )
  }
  const filled = (name: string, length: number, value: number): string =>
    draft.constant(name, float32(new Float32Array(length).fill(value)) satisfies Tensor)
  return {
    draft,
    convolution(x, name, inputs, outputs, kernel, { stride = 1, padding = 0, groups = 1, bias = true } = {}) {
      const shape = [outputs, inputs / groups, kernel, kernel]
      const fanIn = (inputs / groups) * kernel * kernel
      const operands = [x, normal(`${name}.weight`, shape, Math.sqrt(2 / fanIn))]
      if (bias) operands.push(filled(`${name}.bias`, outputs, 0))
      const attributes = {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [1, 1],
        group: groups,
      }
      return draft.add('Conv', operands, attributes, { name })
    },
    batchNorm(x, name, channels) {
      const operands = [
        x,
        filled(`${name}.weight`, channels, 1),
        filled(`${name}.bias`, channels, 0),
        filled(`${name}.running_mean`, channels, 0),
        filled(`${name}.running_var`, channels, 1),
      ]
      return draft.add('BatchNormalization', operands, { epsilon: float(1e-5), momentum: float(0.9) }, { name })
    },
    linear(x, name, inputs, outputs, gain = 1) {
      const operands = [
        x,
        normal(`${name}.weight`, [outputs, inputs], Math.sqrt(gain / inputs)),
        filled(`${name}.bias`, outputs, 0),
      ]
      return draft.add('Gemm', operands, { transB: 1 }, { name })
    },
    relu: (x) => draft.add('Relu', [x]),
    maxPool: (x, kernel, stride = kernel, padding = 0) =>
      draft.add('MaxPool', [x], {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
      }),
    globalAveragePool: (x) => draft.add('GlobalAveragePool', [x]),
    flatten: (x) => draft.add('Flatten', [x], { axis: 1 }),
    add: (a, b) => draft.add('Add', [a, b]),
    concat: (parts) => draft.add('Concat', parts, { axis: 1 }),
  }
}
