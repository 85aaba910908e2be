import { UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { float32, int64 } from '../tensor/tensor.ts'
import { buildNetwork, type LayerBuilder } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

export interface ResnetOptions extends NetworkOptions {
  /** 6n + 2 layers: 20, 32, 44, 56 …; default 20. */
  readonly depth?: number
  /**
   * How the input of a block that halves the image joins its output: every second pixel padded with zero channels
   * ('pad', option A of the paper), or a 1x1 convolution ('projection', option B). Default 'pad'.
   */
  readonly shortcut?: 'pad' | 'projection'
}

/**
 * The residual networks for CIFAR (section 4.2): a 3x3 convolution, three stages of n blocks of two with
 * 16, 32 and 64 filters, and a linear layer over the average.
 * @throws UsageError when the depth is not 6n + 2.
 */
export function resnet({ seed, classes = 10, depth = 20, shortcut = 'pad' }: ResnetOptions): Model {
  const blocks = (depth - 2) / 6
  if (!Number.isInteger(blocks) || blocks < 1)
    throw new UsageError('network-depth', `a residual network for CIFAR has 6n + 2 layers, not ${depth}`, {
      place: 'depth',
      hint: 'Choose 20, 32, 44, 56 or 110.',
    })
  return buildNetwork(`resnet-${depth}`, seed, [3, 32, 32], classes, (layers, input) => {
    let x = unit(layers, input, 'conv1', 'bn1', 3, 16, 1)
    let channels = 16
    for (const [stage, width] of [16, 32, 64].entries()) {
      for (let block = 0; block < blocks; block++) {
        const stride = stage > 0 && block === 0 ? 2 : 1
        const name = `layer${stage + 1}.${block}`
        const first = unit(layers, x, `${name}.conv1`, `${name}.bn1`, channels, width, stride)
        const second = layers.batchNorm(
          layers.convolution(first, `${name}.conv2`, width, width, 3, { padding: 1, bias: false }),
          `${name}.bn2`,
          width,
        )
        const skip = stride === 1 ? x : halve(layers, x, name, channels, width, shortcut)
        x = layers.relu(layers.add(second, skip))
        channels = width
      }
    }
    return layers.linear(layers.flatten(layers.globalAveragePool(x)), 'linear', 64, classes)
  })
}

/** ResNet-20 for CIFAR: 268,336 weights. */
export const resnet20 = (options: Omit<ResnetOptions, 'depth'>): Model => resnet({ ...options, depth: 20 })
export const resnet32 = (options: Omit<ResnetOptions, 'depth'>): Model => resnet({ ...options, depth: 32 })
export const resnet44 = (options: Omit<ResnetOptions, 'depth'>): Model => resnet({ ...options, depth: 44 })
export const resnet56 = (options: Omit<ResnetOptions, 'depth'>): Model => resnet({ ...options, depth: 56 })

function unit(
  layers: LayerBuilder,
  x: string,
  convolution: string,
  norm: string,
  inputs: number,
  outputs: number,
  stride: number,
): string {
  const y = layers.convolution(x, convolution, inputs, outputs, 3, { stride, padding: 1, bias: false })
  return layers.relu(layers.batchNorm(y, norm, outputs))
}

function halve(
  layers: LayerBuilder,
  x: string,
  name: string,
  inputs: number,
  outputs: number,
  shortcut: 'pad' | 'projection',
): string {
  if (shortcut === 'projection') {
    const y = layers.convolution(x, `${name}.shortcut.0`, inputs, outputs, 1, { stride: 2, bias: false })
    return layers.batchNorm(y, `${name}.shortcut.1`, outputs)
  }
  const { draft } = layers
  const list = (hint: string, values: number[]) => draft.constant(`${name}.shortcut.${hint}`, int64(values))
  const end = Number.MAX_SAFE_INTEGER
  const sliced = draft.add('Slice', [
    x,
    list('starts', [0, 0]),
    list('ends', [end, end]),
    list('axes', [2, 3]),
    list('steps', [2, 2]),
  ])
  const before = Math.floor((outputs - inputs) / 2)
  const pads = list('pads', [0, before, 0, 0, 0, outputs - inputs - before, 0, 0])
  return draft.add('Pad', [sliced, pads, draft.constant(`${name}.shortcut.zero`, float32([0], []))], {
    mode: 'constant',
  })
}

const paper = {
  title: 'Deep Residual Learning for Image Recognition',
  authors: 'He, Zhang, Ren, Sun',
  venue: 'CVPR',
  year: 2016,
  arxiv: '1512.03385',
}

export const resnet20Network = defineNetwork({
  name: 'resnet-20',
  summary: 'A residual network of 20 layers for colour images of 32x32.',
  paper,
  inputShape: [3, 32, 32],
  classes: 10,
  build: resnet20,
})

export const resnet32Network = defineNetwork({
  name: 'resnet-32',
  summary: 'A residual network of 32 layers for colour images of 32x32.',
  paper,
  inputShape: [3, 32, 32],
  classes: 10,
  build: resnet32,
})

export const resnet44Network = defineNetwork({
  name: 'resnet-44',
  summary: 'A residual network of 44 layers for colour images of 32x32.',
  paper,
  inputShape: [3, 32, 32],
  classes: 10,
  build: resnet44,
})

export const resnet56Network = defineNetwork({
  name: 'resnet-56',
  summary: 'A residual network of 56 layers for colour images of 32x32.',
  paper,
  inputShape: [3, 32, 32],
  classes: 10,
  build: resnet56,
})
