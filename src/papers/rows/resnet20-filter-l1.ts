import { methods } from '../../methods/index.ts'
import { defineResNet20Row } from '../resnet20.ts'

const recipe = `
name: resnet20-filter-l1
training: { optimizer: sgd, momentum: 0.9, nesterov: true, learningRate: 0.02, schedule: cosine, batchSize: 128, weightDecay: 0.0001, augmentation: crop-flip, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }
steps:
  - method: filter-l1
    include: [Conv_4, Conv_11, Conv_18, Conv_25, Conv_34, Conv_41, Conv_48, Conv_57, Conv_64]
    ratio: 0.32
    layers:
      Conv_25: { ratio: 0.29 }
      Conv_34: { ratio: 0.29 }
      Conv_41: { ratio: 0.29 }
      Conv_48: { ratio: 0.21 }
      Conv_57: { ratio: 0.21 }
      Conv_64: { ratio: 0.21 }
    retrain: { epochs: 8 }
`

export const resnet20FilterL1 = defineResNet20Row({
  name: 'resnet20-filter-l1',
  summary: 'Cuts filters of small L1 norm out of a pretrained ResNet-20, and retrains it for eight epochs.',
  method: 'filter-l1',
  paper: methods.get('filter-l1')!.paper,
  recipe,
  macsAtLeast: 25,
  atMost: 0.8,
  minutes: 30,
  remark:
    'As the paper does it, only the first convolution of each block gives up filters, fewer from stage to stage. Retraining follows the answers of the original network, too; the paper has labels only.',
})
