import { defineSpaceOperator } from '../families/space.ts'
import { spread } from '../families/samples.ts'

export const spaceToDepth = defineSpaceOperator({
  type: 'SpaceToDepth',
  since: 13,
  summary: 'Moves blocks of pixels into channels: [N, C, H, W] -> [N, C * b^2, H / b, W / b].',
  layout: ([n, c, h, w], b) => ({
    split: [n, c, h / b, b, w / b, b],
    order: [0, 3, 5, 1, 2, 4],
    merged: [n, c * b * b, h / b, w / b],
  }),
  packed: { side: 'output', byPixel: () => true },
  samples: [
    { name: 'pairs', inputs: [spread([2, 3, 4, 2])], attributes: { blocksize: 2 } },
    { name: 'triples', inputs: [spread([1, 1, 3, 6])], attributes: { blocksize: 3 } },
  ],
})
