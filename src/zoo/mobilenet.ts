import type { Model } from '../ir/model.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

export interface MobilenetOptions extends NetworkOptions {
  /** The width multiplier α of section 3.3; channels are rounded to multiples of 8. Default 0.25. */
  readonly width?: number
}

/** Output channels and stride of each depthwise separable block of table 1, with the strides that 32x32 images bear. */
const blocks: readonly (readonly [number, number])[] = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [1024, 1],
]

/**
 * A small MobileNet v1 for colour images of 32x32: depthwise 3x3 and pointwise 1x1 convolutions, each with batch
 * normalization and ReLU.
 * Differs from the paper: the first convolution keeps the image's size, and there are 9 blocks instead of 13.
 */
export function mobilenetSmall({ seed, classes = 10, width = 0.25 }: MobilenetOptions): Model {
  const scaled = (channels: number) => Math.max(8, Math.round((channels * width) / 8) * 8)
  return buildNetwork('mobilenet-small', seed, [3, 32, 32], classes, (layers, input) => {
    let channels = scaled(32)
    let x = layers.convolution(input, 'conv', 3, channels, 3, { padding: 1, bias: false })
    x = layers.relu(layers.batchNorm(x, 'bn', channels))
    for (const [index, [full, stride]] of blocks.entries()) {
      const depthwise = { stride, padding: 1, groups: channels, bias: false }
      x = layers.convolution(x, `blocks.${index}.depthwise`, channels, channels, 3, depthwise)
      x = layers.relu(layers.batchNorm(x, `blocks.${index}.bn1`, channels))
      x = layers.convolution(x, `blocks.${index}.pointwise`, channels, scaled(full), 1, { bias: false })
      channels = scaled(full)
      x = layers.relu(layers.batchNorm(x, `blocks.${index}.bn2`, channels))
    }
    return layers.linear(layers.flatten(layers.globalAveragePool(x)), 'fc', channels, classes)
  })
}

export const mobilenetSmallNetwork = defineNetwork({
  name: 'mobilenet-small',
  summary: 'A narrow MobileNet of depthwise separable convolutions for colour images of 32x32.',
  paper: {
    title: 'MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications',
    authors: 'Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam',
    venue: 'arXiv',
    year: 2017,
    arxiv: '1704.04861',
  },
  inputShape: [3, 32, 32],
  classes: 10,
  build: mobilenetSmall,
})
