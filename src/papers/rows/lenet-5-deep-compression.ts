import { lenet5 } from '../../zoo/lenet-5.ts'
import { defineLadder } from '../ladder.ts'

const recipe = `
name: lenet-5-deep-compression
training: { optimizer: adam, learningRate: 0.001, schedule: cosine, batchSize: 64 }
steps:
  - method: magnitude
    rounds: 6
    schedule: cubic
    sparsity: 0.94
    layers:
      conv1: { sparsity: 0.3 }
      conv2: { sparsity: 0.85 }
      fc2: { sparsity: 0.8 }
    retrain: { epochs: 1 }
    finish: { epochs: 8 }
  - method: k-means
    bits: 5
    initialization: linear
    retrain: { epochs: 3, learningRate: 0.0003 }
  - method: huffman
`

export const lenet5DeepCompression = defineLadder({
  name: 'lenet-5-deep-compression',
  network: "LeNet-5 (Caffe's), 431,080 parameters, 1,724,320 bytes",
  build: lenet5,
  bytes: 1_724_320,
  dense: { optimizer: 'adam', learningRate: 0.001, schedule: 'cosine', epochs: 10, weightDecay: 0.0001 },
  recipe,
  published: { pruned: 12, shared: 33, coded: 39, errorBefore: 0.8, errorAfter: 0.74 },
  errorAtMost: 0.8,
  minutes: 6,
})
