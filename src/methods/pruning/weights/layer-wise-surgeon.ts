import type { Paper } from '../../../paper.ts'
import { hessianOptions, inverseOf } from '../../row-hessians.ts'
import { defineWeightPruner } from './family/family.ts'
import { byGroup, groupOf, selectByRows } from './family/row-selection.ts'

const paper: Paper = {
  title: 'Learning to Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon',
  authors: 'Dong, Chen, Pan',
  venue: 'NIPS',
  year: 2017,
  arxiv: '1705.07565',
}

/**
 * Removes the weights of a layer with the smallest L_q = w_q² / (2 [H⁻¹]_qq), H = E[x xᵀ] being the Hessian of the squared
 * error of the layer's output before its activation (section 3.3). All rows of a layer share it, so that one inverse
 * serves millions of weights. The order is that of the weights as they came; one after the other is then
 * removed with the update δw = - w_q / [H⁻¹]_qq · H⁻¹ e_q of equation 5, the inverse staying as it is (algorithm 1). No labels
 * are needed.
 *
 * After many removals the updates no longer know of each other, and do harm: remove little at a time, over several
 * `rounds` with retraining, or use `optimal-brain-compression`.
 *
 * Differs from the paper: biases are not removed.
 */
export const layerWiseSurgeon = defineWeightPruner({
  name: 'layer-wise-surgeon',
  summary:
    'Removes the weights that a layer misses least by second derivatives of its output error, and moves the rest.',
  paper,
  needs: ['calibration-data'],
  options: hessianOptions,
  select: selectByRows(async (layer) => {
    const { rows, values, remove, pace } = layer
    const { length } = rows
    const inverses = byGroup(layer, (hessian) => inverseOf(hessian, length, layer.name))
    const losses = new Float64Array(rows.count * length)
    for (const [r, row] of values.entries()) {
      const inverse = inverses(groupOf(rows, r))
      for (let k = 0; k < length; k++) losses[r * length + k] = row[k] ** 2 / (2 * inverse[k * length + k])
    }
    const order = Uint32Array.from(losses, (_, i) => i).sort((a, b) => losses[a] - losses[b] || a - b)
    const after = values.map((row) => row.slice())
    const kept = values.map((row) => new Uint8Array(row.length).fill(1))
    for (const place of order.subarray(0, remove)) {
      const [r, q] = [Math.floor(place / length), place % length]
      const inverse = inverses(groupOf(rows, r))
      const moved = after[r][q] / inverse[q * length + q]
      kept[r][q] = 0
      for (let k = 0; k < length; k++) after[r][k] -= kept[r][k] * moved * inverse[q * length + k]
      after[r][q] = 0
      await pace(length)
    }
    return after
  }),
})
