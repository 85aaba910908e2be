import { lenet300100 } from '../../zoo/lenet-300-100.ts'
import { defineSmallestRow } from '../smallest.ts'

const recipe = `
name: lenet-300-100-smallest
training: { optimizer: sgd, momentum: 0.9, learningRate: 0.1, batchSize: 128, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7, augmentation: crop, shift: 2 }
steps:
  - method: entropy-penalised
    lambda: 1.0e-5
    step: 2
    biasBits: 6
    rounds: 3
    retrain: { epochs: 4 }
    finish: { epochs: 36, schedule: cosine, shift: 1 }
`

export const lenet300100Smallest = defineSmallestRow({
  name: 'lenet-300-100-smallest',
  network: 'LeNet-300-100, 266,610 parameters, 1,066,440 bytes',
  build: lenet300100,
  bytes: 1_066_440,
  dense: {
    learningRate: 0.1,
    weightDecay: 0.0001,
    schedule: 'cosine',
    epochs: 30,
    augmentation: 'crop',
    shift: 2,
  },
  recipe,
  method: 'entropy-penalised',
  points: [{ step: 0, published: { ratio: 124, error: 1.9 }, atLeast: 124, errorAtMost: 1.9 }],
  difference:
    'The published figures are those of the paper, 8.56 KB; SCADA-Tucker has 233x "without loss". The paper shifts no images; we shift them by up to two pixels, the dense network too. Settings were chosen by the validation error of seed 1; an earlier form without shifts had shown a test error of 1.71 % at 266x.',
  minutes: 5,
})
