import { UsageError } from '../../errors.ts'
import type { TrainingSettings } from '../settings.ts'
import { adam } from './adam.ts'
import { extraGradient } from './extra-gradient.ts'
import type { Optimizer, OptimizerSettings } from './optimizer.ts'
import { sgd } from './sgd.ts'
import { shiftAdamax } from './shift-adamax.ts'
import { sparseGradients } from './sparse-gradients.ts'
import { ternaryGradients } from './ternary-gradients.ts'

/** The update rules by name; the compiler sees to it that every name of the settings has one. */
export const optimizers: { readonly [Name in TrainingSettings['optimizer']]: Optimizer } = {
  sgd,
  adam,
  'extra-gradient': extraGradient,
  'shift-adamax': shiftAdamax,
}

/**
 * The update rule that the settings ask for, with what is wrapped around it.
 * @throws UsageError when a rule cannot do what the settings ask of it.
 */
export function optimizerOf(settings: OptimizerSettings & Pick<TrainingSettings, 'optimizer'>): Optimizer {
  const { optimizer, momentum, nesterov, gradientSparsity = 0, gradientTernary = false } = settings
  if (nesterov && optimizer !== 'sgd')
    throw refused('nesterov-momentum', `${optimizer} has no Nesterov's form of momentum`, 'nesterov', 'set it to false')
  if (momentum === 1 && optimizer === 'shift-adamax')
    throw new UsageError('momentum-range', 'the power of two next to 1 - momentum must not be zero', {
      place: 'momentum',
      hint: 'Choose a momentum below 1; the paper has 0.875.',
    })
  if (gradientSparsity === 0) return gradientTernary ? ternaryGradients(optimizers[optimizer]) : optimizers[optimizer]
  if (optimizer !== 'sgd')
    throw refused(
      'sparse-gradients',
      `sparse gradients are accumulated as momentum is, which ${optimizer} has not`,
      'gradientSparsity',
      'set it to 0',
    )
  if (gradientTernary)
    throw new UsageError('gradient-compression', 'gradients are to be both sparse and ternary', {
      place: 'gradientTernary',
      hint: 'Leave out one of gradientSparsity and gradientTernary.',
    })
  return sparseGradients
}

function refused(code: string, message: string, place: keyof OptimizerSettings, otherwise: string): UsageError {
  return new UsageError(code, message, { place, hint: `Choose optimizer: sgd, or ${otherwise}.` })
}
