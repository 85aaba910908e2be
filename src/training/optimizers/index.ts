import type { TrainingSettings } from '../settings.ts'
import { adam } from './adam.ts'
import type { Optimizer } from './optimizer.ts'
import { sgd } from './sgd.ts'

/** The update rules by name; the compiler sees to it that every name of the settings has one. */
export const optimizers: { readonly [Name in TrainingSettings['optimizer']]: Optimizer } = { sgd, adam }
