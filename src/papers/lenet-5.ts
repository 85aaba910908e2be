/** What the rows on LeNet-5 have in common. */
import { lenet5 } from '../zoo/lenet-5.ts'
import type { MnistRow } from './mnist.ts'

/** The network, and how it is trained before anything is taken from it. */
export const lenet5Row = {
  network: "LeNet-5 (Caffe's), 431,080 parameters, 1,724,320 bytes",
  build: lenet5,
  dense: { learningRate: 0.02, weightDecay: 0.0005, schedule: 'cosine', epochs: 20, augmentation: 'crop' },
} as const satisfies Partial<MnistRow>

/** The step of a recipe that leaves LeNet-5 a tenth of its weights, so that all trainings after it are four times as fast. */
export const fewerFilters = `  - method: filter-l1
    outgoing: true
    include: [conv1, conv2, fc1]
    layers: { conv1: { keep: 10 }, conv2: { keep: 24 }, fc1: { keep: 100 } }
    retrain: { epochs: 3, schedule: cosine, weightDecay: 5.0e-4 }
`
