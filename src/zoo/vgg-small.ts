import type { Model } from '../ir/model.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/**
 * VGG-Small: six 3x3 convolutions of 128, 256 and 512 filters in pairs, each pair followed by a 2x2 maximum, and one
 * linear layer. The network on which binary and ternary weights are usually compared on CIFAR-10; 4.66 million weights.
 */
export function vggSmall({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('vgg-small', seed, [3, 32, 32], classes, (layers, input) => {
    let x = input
    let channels = 3
    for (const [pair, width] of [128, 256, 512].entries()) {
      for (const part of [0, 1]) {
        const name = `${2 * pair + part}`
        x = layers.convolution(x, `conv${name}`, channels, width, 3, { padding: 1, bias: false })
        if (part === 1) x = layers.maxPool(x, 2)
        x = layers.relu(layers.batchNorm(x, `bn${name}`, width))
        channels = width
      }
    }
    return layers.linear(layers.flatten(x), 'fc', 512 * 4 * 4, classes)
  })
}

export const vggSmallNetwork = defineNetwork({
  name: 'vgg-small',
  summary: 'Six 3x3 convolutions with batch normalization and one linear layer for colour images of 32x32.',
  paper: {
    title: 'Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization',
    authors: 'Dong, Ni, Li, Chen, Zhu, Su',
    venue: 'BMVC',
    year: 2017,
    arxiv: '1708.01001',
  },
  inputShape: [3, 32, 32],
  classes: 10,
  build: vggSmall,
})
