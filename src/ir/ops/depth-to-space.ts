import { defineSpaceOperator } from '../families/space.ts'
import { spread } from '../families/samples.ts'
import { stringAttribute } from '../model.ts'

/** [N, C, H, W] split into [N, b, b, c, H, W] (DCR) or [N, c, b, b, H, W] (CRD), and the blocks moved behind H and W. */
export const depthToSpace = defineSpaceOperator({
  type: 'DepthToSpace',
  since: 13,
  summary: 'Moves channels into blocks of pixels: [N, C, H, W] -> [N, C / b^2, H * b, W * b].',
  layout: ([n, c, h, w], b, node) => {
    const channels = c / (b * b)
    const byColumn = stringAttribute(node, 'mode', 'DCR') === 'CRD'
    return {
      split: byColumn ? [n, channels, b, b, h, w] : [n, b, b, channels, h, w],
      order: byColumn ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2],
      merged: [n, channels, h * b, w * b],
    }
  },
  packed: { side: 'input', byPixel: (node) => stringAttribute(node, 'mode', 'DCR') !== 'CRD' },
  samples: [
    { name: 'DCR', inputs: [spread([2, 8, 2, 3])], attributes: { blocksize: 2 } },
    { name: 'CRD', inputs: [spread([1, 8, 2, 3])], attributes: { blocksize: 2, mode: 'CRD' } },
  ],
})
