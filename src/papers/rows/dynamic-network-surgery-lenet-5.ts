import { dynamicNetworkSurgery } from '../../methods/pruning/weights/dynamic-network-surgery.ts'
import { lenet5 } from '../../zoo/lenet-5.ts'
import { defineWeightsKeptRow } from '../weights-kept.ts'

const recipe = `
name: dynamic-network-surgery-lenet-5
training: { optimizer: sgd, momentum: 0.9, learningRate: 0.02, weightDecay: 0.0005, schedule: cosine, batchSize: 128, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }
steps:
  - method: dynamic-network-surgery
    deviations: 5.9
    layers: { conv1: { deviations: 1 }, conv2: { deviations: 3.5 }, fc2: { deviations: 3 } }
    phases: [['*']]
    retrain: { epochs: 8, augmentation: crop, shift: 1 }
    finish: { epochs: 8, augmentation: none, weightDecay: 0.0001 }
`

export const dynamicNetworkSurgeryLenet5 = defineWeightsKeptRow({
  name: 'dynamic-network-surgery-lenet-5',
  summary: 'Trains LeNet-5, prunes and splices its weights while they learn, and trains what is left.',
  network: "LeNet-5 (Caffe's), 431,080 parameters, 1,724,320 bytes",
  build: lenet5,
  dense: { learningRate: 0.02, weightDecay: 0.0005, schedule: 'cosine', epochs: 10, augmentation: 'crop' },
  recipe,
  method: dynamicNetworkSurgery.name,
  paper: dynamicNetworkSurgery.paper,
  published: { weights: 108, errorBefore: 0.91, errorAfter: 0.91 },
  atLeast: 108,
  errorAtMost: 0.91,
  minutes: 8,
  difference:
    'The paper counts biases among the parameters and prunes them too; we count weights. Surgery is on all layers at once, which takes half the time, where the paper has convolutions first. We shift images by up to four pixels while the dense network trains and by one during surgery, follow the dense network as a teacher, and train on under the masks that were found. Settings were chosen by the validation error of seed 1.',
})
