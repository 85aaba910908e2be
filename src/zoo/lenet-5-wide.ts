import type { Model } from '../ir/model.ts'
import { ternaryWeightNetworks } from '../paper.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/**
 * LeNet-5 as the literature of low-bit networks has it (Li, Zhang, Liu 2016, section 3.1: 32-C5, MP2, 64-C5, MP2,
 * 512-FC): 5x5 convolutions without padding, 581,408 weights for ten classes. Batch normalization follows each maximum
 * and the hidden layer and stands right in front of ReLU, as binary activations need it (Rastegari et al. 2016, section
 * 3.2); the layers in front of it have no bias.
 */
export function lenet5Wide({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('lenet-5-wide', seed, [1, 28, 28], classes, (layers, input) => {
    const block = (x: string, part: number, inputs: number, outputs: number) => {
      const pooled = layers.maxPool(layers.convolution(x, `conv${part}`, inputs, outputs, 5, { bias: false }), 2)
      return layers.relu(layers.batchNorm(pooled, `bn${part}`, outputs))
    }
    const features = layers.flatten(block(block(input, 1, 1, 32), 2, 32, 64))
    const hidden = layers.relu(layers.batchNorm(layers.linear(features, 'fc1', 1024, 512, 2), 'bn3', 512))
    return layers.linear(hidden, 'fc2', 512, classes)
  })
}

export const lenet5WideNetwork = defineNetwork({
  name: 'lenet-5-wide',
  summary: 'LeNet-5 with 32 and 64 filters, 512 hidden units and batch normalization, for grey images of 28x28.',
  paper: ternaryWeightNetworks,
  inputShape: [1, 28, 28],
  classes: 10,
  build: lenet5Wide,
})
