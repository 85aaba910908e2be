import { averagePoolGrad } from './average-pool-grad.ts'
import { batchNormGrad, batchNormTrain } from './batch-norm.ts'
import { convGradW } from './conv-grad-w.ts'
import { convGradX } from './conv-grad-x.ts'
import type { Formulation } from './formulation.ts'
import { maxPoolGrad } from './max-pool-grad.ts'
import { softmaxCrossEntropyGrad } from './softmax-cross-entropy-grad.ts'

/**
 * The formulations of each semantic operator, best first; a new one is an entry in its operator's file.
 * Operators that need but one form have it as the `body` of their record.
 */
export const formulations: ReadonlyMap<string, readonly Formulation[]> = new Map([
  ['espalier.AveragePoolGrad', averagePoolGrad],
  ['espalier.BatchNormGrad', batchNormGrad],
  ['espalier.BatchNormTrain', batchNormTrain],
  ['espalier.ConvGradW', convGradW],
  ['espalier.ConvGradX', convGradX],
  ['espalier.MaxPoolGrad', maxPoolGrad],
  ['espalier.SoftmaxCrossEntropyGrad', softmaxCrossEntropyGrad],
])
