/** The network on which decompositions are compared. */
import { openResNet20, resNet20File } from '../resnet20.ts'
import type { DecompositionNetwork } from './bench.ts'

export const decomposedNetwork: DecompositionNetwork = {
  name: 'resnet-20',
  about:
    'ResNet-20 for CIFAR-10 as akamaster published it, with its 19 convolutions. The validation images are 4,000 of batches 1 to 4, on all of which the network was trained.',
  needs: [resNet20File, 'cifar10'],
  examples: 128,
  tests: 500,
  prepare: (path) => openResNet20(path, 1),
}
