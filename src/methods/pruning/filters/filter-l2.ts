import { defineFilterPruner } from './family/family.ts'
import { filterNorms, normOptions } from './family/norms.ts'

/**
 * Removes the filters with the smallest L2 norm and, with them, the channels of every layer that reads them.
 *
 * Differs from the paper: the filters are removed at once, or in rounds, and do not come back; the paper sets them to zero
 * after each epoch and lets training revive them. `outgoing`, which is off unless asked for, is ours.
 */
export const filterL2 = defineFilterPruner({
  name: 'filter-l2',
  summary: 'Removes whole filters with the smallest root of the sum of squared weights.',
  paper: {
    title: 'Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks',
    authors: 'He, Kang, Dong, Fu, Yang',
    venue: 'IJCAI',
    year: 2018,
    arxiv: '1808.06866',
  },
  options: normOptions,
  // Section 3.2, equation 2 with p = 2: ‖F_j‖ = √(Σ F_j²).
  score: (filters) => filterNorms(filters, { term: (weight) => weight * weight, root: Math.sqrt }),
})
