/** The networks on which criteria are compared, and the settings, which were fixed before anything was measured. */
import type { DataSplits } from '../../datasets/dataset.ts'
import { openData } from '../../datasets/open.ts'
import type { Model } from '../../ir/model.ts'
import { trainingSettings, type TrainingSettings } from '../../training/settings.ts'
import { train } from '../../training/train.ts'
import { lenet5 } from '../../zoo/lenet-5.ts'
import { openResNet20, resNet20File } from '../resnet20.ts'
import type { RowEnvironment } from '../row.ts'

/** Shares of the multiply-accumulates that are removed. */
export const macsShares = [0.25, 0.5] as const

/** Options of single methods, besides those that the comparison sets for all. */
export const ownOptions: Readonly<Record<string, object>> = {
  // The networks are as they are: the scales that they have are compared, without a sparse training before.
  'network-slimming': { sparse: false },
}

export interface BenchNetwork {
  readonly name: string
  /** What it is and what it was measured on, in full sentences. */
  readonly about: string
  /** Files below the shared data folder. */
  readonly needs: readonly string[]
  readonly seeds: readonly number[]
  /** Validation examples of each ablation of the oracle. */
  readonly oracleSamples: number
  /** The retraining after pruning. */
  readonly retrain: Partial<TrainingSettings>
  /** The splits of the data, and the network as it is before pruning. */
  prepare(environment: RowEnvironment): Promise<{ readonly data: DataSplits; readonly model: Model }>
}

const dense: Partial<TrainingSettings> = { epochs: 2, learningRate: 0.02, weightDecay: 0.0005, schedule: 'cosine' }

export const benchNetworks: readonly BenchNetwork[] = [
  {
    name: 'lenet-5',
    about:
      'LeNet-5 (20 and 50 filters, 500 hidden units: 570 channels) on MNIST, trained anew for each seed, 2 epochs. 55,000 images to train, 5,000 for choices, 10,000 to test. Each ablation of the oracle looks at 500 validation images; retraining sees 5,500 images once.',
    needs: ['mnist'],
    seeds: [1, 2, 3],
    oracleSamples: 500,
    retrain: { epochs: 0.1, learningRate: 0.01, schedule: 'cosine' },
    async prepare({ seed, engine, path, store, signal, progress }) {
      const data = await openData(`mnist:${path('mnist')}`, { seed })
      const { model } = await train(lenet5({ seed }), {
        data: data.train,
        settings: trainingSettings.parse(dense),
        engine,
        seed,
        signal,
        progress,
        checkpoint: { store: { read: () => store.read('dense'), write: (bytes) => store.write('dense', bytes) } },
      })
      return { data, model }
    },
  },
  {
    name: 'resnet-20',
    about:
      'ResNet-20 for CIFAR-10 as akamaster published it; residual connections tie its 688 filters into 400 channels. Batches 1 to 4 less 4,000 images to train, these 4,000 for choices (the network was trained on all of them), the first 1,000 test images to test: a standard error of about 0.9 points. Each ablation of the oracle looks at 256 validation images; retraining sees 3,000 images once, cropped and mirrored. One seed, because it takes long: what is drawn, such as the images that a criterion looks at, was drawn once.',
    needs: [resNet20File, 'cifar10'],
    seeds: [1],
    oracleSamples: 256,
    retrain: { epochs: 1 / 12, learningRate: 0.01, schedule: 'cosine', weightDecay: 0.0001, augmentation: 'crop-flip' },
    prepare: ({ seed, path }) => openResNet20(path, seed),
  },
]
