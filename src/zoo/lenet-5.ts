import type { Model } from '../ir/model.ts'
import { gradientBasedLearning } from '../paper.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/**
 * LeNet-5 as Caffe has it, which is the one that the compression literature means: 20 and 50 filters of 5x5 without
 * padding, each followed by a 2x2 maximum, 500 hidden units; 430,500 weights and 580 biases for ten classes.
 * Differs from the paper: ReLU only after the hidden layer, maxima instead of averages, and dense connections.
 */
export function lenet5({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('lenet-5', seed, [1, 28, 28], classes, (layers, input) => {
    const pool1 = layers.maxPool(layers.convolution(input, 'conv1', 1, 20, 5), 2)
    const pool2 = layers.maxPool(layers.convolution(pool1, 'conv2', 20, 50, 5), 2)
    const hidden = layers.relu(layers.linear(layers.flatten(pool2), 'fc1', 800, 500, 2))
    return layers.linear(hidden, 'fc2', 500, classes)
  })
}

export const lenet5Network = defineNetwork({
  name: 'lenet-5',
  summary: "Caffe's LeNet for grey images of 28x28: two convolutions of 20 and 50 filters and 500 hidden units.",
  paper: gradientBasedLearning,
  inputShape: [1, 28, 28],
  classes: 10,
  build: lenet5,
})
