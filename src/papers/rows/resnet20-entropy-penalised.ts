import { entropyPenalisedReparameterization } from '../../paper.ts'
import { defineResNet20Row } from '../resnet20.ts'

const recipe = `
name: resnet20-entropy-penalised
training: { optimizer: sgd, momentum: 0.9, nesterov: true, learningRate: 0.02, batchSize: 128, augmentation: crop-flip, loss: kullback-leibler, temperature: 2, teacherWeight: 0.8 }
steps:
  - method: entropy-penalised
    lambda: 5.0e-6
    step: 1.5
    layers:
      'conv1*': { step: 0.5 }
      ':dense': { step: 0.75 }
    biasBits: 8
    rounds: 2
    retrain: { epochs: 2 }
    finish: { epochs: 9, schedule: cosine }
  - method: fold-batch-norm
    bits: 12
`

export const resnet20EntropyPenalised = defineResNet20Row({
  name: 'resnet20-entropy-penalised',
  summary: 'Retrains a pretrained ResNet-20 with the bits of its integer weights as a term of the loss.',
  method: 'entropy-penalised, fold-batch-norm',
  paper: entropyPenalisedReparameterization,
  recipe,
  atLeast: 16,
  atMost: 0.5,
  minutes: 45,
  remark: 'Folding with 12 bits gives the answers of the trained network; with 8 bits 27.2x, and 0.5 points lost.',
})
