import { trainedTernaryQuantization } from '../../methods/quantization/weights/trained-ternary-quantization.ts'
import { defineResNet20Row, lowBitTraining } from '../resnet20.ts'

const recipe = `
name: resnet20-trained-ternary
training: ${lowBitTraining}
steps:
  - method: trained-ternary-quantization
    sparsity: 0.5
    exclude: [Conv_1, Gemm_73]
    retrain: { epochs: 3, optimizer: adam, nesterov: false, learningRate: 0.001 }
`

export const resnet20TrainedTernary = defineResNet20Row({
  name: 'resnet20-trained-ternary',
  summary: 'Trains a pretrained ResNet-20 with weights that are zero or one of two learned values a layer.',
  method: trainedTernaryQuantization.name,
  paper: trainedTernaryQuantization.paper,
  recipe,
  lowBit: true,
  atMost: 1,
  minutes: 15,
  remark:
    'The paper trains ResNet-20 with ternary weights to an error of 8.87 %, from 8.23 % in full precision, in 160 epochs and more; ours sees the data three times. Half of the weights of a layer are zero, as in its networks for ImageNet; thresholds of 0.05 of the largest weight, which it has for CIFAR-10, leave next to none, and a pretrained network does not come back from there in so short a time. First and last layer stay in full precision, as in the paper.',
})
