import type { Model } from '../ir/model.ts'
import { gradientBasedLearning } from '../paper.ts'
import { buildNetwork } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/** LeNet-300-100: 784-300-100-classes, ReLU, 266,200 weights and 410 biases for ten classes. */
export function lenet300100({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('lenet-300-100', seed, [1, 28, 28], classes, (layers, input) => {
    const hidden1 = layers.relu(layers.linear(layers.flatten(input), 'fc1', 784, 300, 2))
    const hidden2 = layers.relu(layers.linear(hidden1, 'fc2', 300, 100, 2))
    return layers.linear(hidden2, 'fc3', 100, classes)
  })
}

export const lenet300100Network = defineNetwork({
  name: 'lenet-300-100',
  summary: 'A multilayer perceptron with 300 and 100 hidden units for grey images of 28x28.',
  paper: gradientBasedLearning,
  inputShape: [1, 28, 28],
  classes: 10,
  build: lenet300100,
})
