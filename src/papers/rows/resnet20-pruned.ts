import { deepCompression } from '../../paper.ts'
import { defineResNet20Row } from '../resnet20.ts'

const recipe = `
name: resnet20-pruned
training: { optimizer: sgd, momentum: 0.9, nesterov: true, learningRate: 0.02, schedule: cosine, batchSize: 128, weightDecay: 0.0001, augmentation: crop-flip }
steps:
  - method: magnitude
    scope: global
    sparsity: 0.6
    rounds: 3
    schedule: cubic
    retrain: { epochs: 1 }
    finish: { epochs: 6 }
  - method: k-means
    bits: 5
    initialization: linear
    retrain: { epochs: 1, learningRate: 0.002 }
`

export const resnet20Pruned = defineResNet20Row({
  name: 'resnet20-pruned',
  summary: 'Prunes a pretrained ResNet-20 over all layers, retrains it, and lets the remaining weights share values.',
  method: 'magnitude, k-means',
  paper: deepCompression,
  recipe,
  atLeast: 10,
  atMost: 0.5,
  minutes: 40,
})
