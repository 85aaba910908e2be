import { weightsAndConnections } from '../../../paper.ts'
import { defineWeightPruner } from './family/family.ts'

/**
 * Removes the weights of the smallest absolute value and retrains the others. With several rounds the network gives up
 * its weights little by little, which keeps far more accuracy than one cut.
 */
export const magnitude = defineWeightPruner({
  name: 'magnitude',
  summary: 'Removes the weights with the smallest absolute values, and retrains the others.',
  paper: weightsAndConnections,
  // Section 3: connections with weights below a threshold are removed: [...any] -> [...any].
  score: ({ weight }) => weight.map(Math.abs),
})
