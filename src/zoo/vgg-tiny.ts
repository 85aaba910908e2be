import type { Model } from '../ir/model.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/** Filters of each pair of convolutions. */
const widths = [16, 32, 64, 128, 256]

/**
 * A small VGG for colour images of 32x32: ten 3x3 convolutions in five pairs of 16 to 256 filters, each convolution with
 * batch normalization and ReLU, a 2x2 maximum between the pairs, and one linear layer over the average; 1,180,336 weights
 * for ten classes. Like its large sisters it has most of its weights where the image is smallest, and needs few of them.
 * Differs from the paper: the arrangement is that of its configuration B with a quarter of the filters, doubled once more
 * in the last pair, batch normalization, and one linear layer instead of three.
 */
export function vggTiny({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('vgg-tiny', seed, [3, 32, 32], classes, (layers, input) => {
    let x = input
    let channels = 3
    for (const [pair, width] of widths.entries()) {
      if (pair > 0) x = layers.maxPool(x, 2)
      for (const part of [1, 2]) {
        const name = `${pair + 1}_${part}`
        x = layers.convolution(x, `conv${name}`, channels, width, 3, { padding: 1, bias: false })
        x = layers.relu(layers.batchNorm(x, `bn${name}`, width))
        channels = width
      }
    }
    return layers.linear(layers.flatten(layers.globalAveragePool(x)), 'fc', channels, classes)
  })
}

export const vggTinyNetwork = defineNetwork({
  name: 'vgg-tiny',
  summary: 'Ten 3x3 convolutions of 16 to 256 filters with batch normalization for colour images of 32x32.',
  paper: {
    title: 'Very Deep Convolutional Networks for Large-Scale Image Recognition',
    authors: 'Simonyan, Zisserman',
    venue: 'ICLR',
    year: 2015,
    arxiv: '1409.1556',
  },
  inputShape: [3, 32, 32],
  classes: 10,
  build: vggTiny,
})
