import { dynamicNetworkSurgery } from '../../methods/pruning/weights/dynamic-network-surgery.ts'
import { lenet300100 } from '../../zoo/lenet-300-100.ts'
import { defineWeightsKeptRow } from '../weights-kept.ts'

const recipe = `
name: dynamic-network-surgery-lenet-300-100
training: { optimizer: sgd, momentum: 0.9, learningRate: 0.02, weightDecay: 0.0005, schedule: cosine, batchSize: 128, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }
steps:
  - method: dynamic-network-surgery
    deviations: 4.8
    layers: { fc3: { deviations: 1.5 } }
    retrain: { epochs: 12, augmentation: crop, shift: 1 }
    finish: { epochs: 6, augmentation: none }
`

export const dynamicNetworkSurgeryLenet300100 = defineWeightsKeptRow({
  name: 'dynamic-network-surgery-lenet-300-100',
  summary: 'Trains LeNet-300-100, prunes and splices its weights while they learn, and trains what is left.',
  network: 'LeNet-300-100, 266,610 parameters, 1,066,440 bytes',
  build: lenet300100,
  dense: { learningRate: 0.1, weightDecay: 0.0001, schedule: 'cosine', epochs: 15, augmentation: 'crop', shift: 2 },
  recipe,
  method: dynamicNetworkSurgery.name,
  paper: dynamicNetworkSurgery.paper,
  published: { weights: 56, errorBefore: 2.28, errorAfter: 1.99 },
  atLeast: 56,
  errorAtMost: 1.99,
  minutes: 5,
  difference:
    'The paper counts biases among the parameters and prunes them too; we count weights. We shift images by up to two pixels while the dense network trains and by one during surgery, follow the dense network as a teacher, and train on under the masks that were found. Settings were chosen by the validation error of seed 1.',
})
