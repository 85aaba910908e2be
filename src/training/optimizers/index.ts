import { UsageError } from '../../errors.ts'
import type { TrainingSettings } from '../settings.ts'
import { adam } from './adam.ts'
import type { Optimizer, OptimizerSettings } from './optimizer.ts'
import { sgd } from './sgd.ts'
import { sparseGradients } from './sparse-gradients.ts'

/** The update rules by name; the compiler sees to it that every name of the settings has one. */
export const optimizers: { readonly [Name in TrainingSettings['optimizer']]: Optimizer } = { sgd, adam }

/**
 * The update rule that the settings ask for, with what is wrapped around it.
 * @throws UsageError when gradients are to be sparse and the rule is not sgd.
 */
export function optimizerOf({
  optimizer,
  gradientSparsity = 0,
}: OptimizerSettings & Pick<TrainingSettings, 'optimizer'>): Optimizer {
  if (gradientSparsity === 0) return optimizers[optimizer]
  if (optimizer === 'sgd') return sparseGradients
  throw new UsageError(
    'sparse-gradients',
    `sparse gradients are accumulated as momentum is, which ${optimizer} has not`,
    {
      place: 'gradientSparsity',
      hint: 'Choose optimizer: sgd, or leave gradientSparsity out.',
    },
  )
}
