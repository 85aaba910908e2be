import type { TrainingSettings } from '../settings.ts'
import { crossEntropy } from './cross-entropy.ts'
import { kullbackLeibler } from './kullback-leibler.ts'
import type { Loss } from './loss.ts'
import { meanSquaredError } from './mean-squared-error.ts'

/** The losses by name; the compiler sees to it that every name of the settings has one. */
export const losses: { readonly [Name in TrainingSettings['loss']]: Loss } = {
  'cross-entropy': crossEntropy,
  'mean-squared-error': meanSquaredError,
  'kullback-leibler': kullbackLeibler,
}
