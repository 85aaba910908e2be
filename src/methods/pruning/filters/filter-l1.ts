import { defineFilterPruner } from './family/family.ts'
import { filterNorms, normOptions } from './family/norms.ts'

/**
 * Removes the filters with the smallest L1 norm and, with them, the channels of every layer that reads them.
 * The result is a smaller dense network: it needs no sparse format and no special kernel.
 *
 * Differs from the paper: `outgoing`, which is off unless asked for, also weighs what the next layers make of a channel;
 * and where a residual connection ties layers, the norms of all of them count, not only those of the shortcut.
 */
export const filterL1 = defineFilterPruner({
  name: 'filter-l1',
  summary: 'Removes whole filters with the smallest sum of absolute weights.',
  paper: {
    title: 'Pruning Filters for Efficient ConvNets',
    authors: 'Li, Kadav, Durdanovic, Samet, Graf',
    venue: 'ICLR',
    year: 2017,
    arxiv: '1608.08710',
  },
  options: normOptions,
  // Section 3.1: s_j = Σ |F_j|.
  score: (filters) => filterNorms(filters, { term: Math.abs, root: (sum) => sum }),
})
