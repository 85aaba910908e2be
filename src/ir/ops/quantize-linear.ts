import { fromElements, fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { isMinifloat, toMinifloatCode } from '../../tensor/minifloat.ts'
import { float32, scalar } from '../../tensor/tensor.ts'
import { fromElementType } from '../element-type.ts'
import { granularityOf, quantizationTies, scaleIndices, toCodes, zeroPoints } from '../families/quantization.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { intAttribute, type Node, type TensorType } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * y = saturate(round(x / scale) + zero point), to nearest even; scale and zero point for the whole tensor, for each index
 * of `axis`, or for blocks of `block_size` along it. The type of y is the zero point's, else `output_dtype`, else uint8.
 * A small float type gets the value nearest to x / scale; its zero point is zero.
 * Its steps have no useful gradient: training uses a function with a gradient of its own (straight-through).
 */
export const quantizeLinear = defineOperator({
  type: 'QuantizeLinear',
  since: 21,
  summary: 'Turns numbers into integer codes by a scale and a zero point.',
  infer: ({ node, inputs: [x, scale, zeroPoint] }) => {
    if (x?.shape && scale?.shape) granularityOf(node, x.shape, scale.shape)
    return [{ dtype: codeType(node, zeroPoint), shape: x?.shape }]
  },
  evaluate: ({ node, inputs: [x, scale, zeroPoint] }) => {
    const at = scaleIndices(granularityOf(node, x!.shape, scale!.shape), x!.shape)
    const scales = toNumbers(scale!)
    const single = x!.dtype !== 'float64'
    const ratios = toNumbers(x!).map((value, i) =>
      single ? Math.fround(value / scales[at(i)]) : value / scales[at(i)],
    )
    const dtype = codeType(node, zeroPoint)
    if (!isMinifloat(dtype)) return [toCodes(dtype, x!.shape, ratios, zeroPoints(zeroPoint, at))]
    const saturate = intAttribute(node, 'saturate', 1) !== 0
    const codes = Uint8Array.from(ratios, (ratio) => toMinifloatCode(dtype, ratio, saturate))
    return [fromElements(dtype, x!.shape, codes)]
  },
  differentiable: 'none',
  coupling: quantizationTies,
  samples: [
    { name: 'per tensor', inputs: [noise(1, [2, 5]), float32([0.05], []), scalar('uint8', 120)] },
    { name: 'no zero point', inputs: [noise(1, [2, 5]), float32([0.01], [])] },
    {
      name: 'ties and saturation',
      inputs: [float32([0.5, 1.5, -2.5, 1e6, -1e6]), float32([1], []), scalar('int8', 1)],
    },
    {
      name: 'per axis',
      inputs: [noise(1, [2, 3, 4]), positiveNoise(2, [3], 0.01), fromNumbers('int8', [3], [0, -3, 5])],
      attributes: { axis: 1 },
    },
    {
      name: 'blocked',
      inputs: [noise(1, [2, 6]), positiveNoise(2, [2, 3], 0.01), fromNumbers('uint8', [2, 3], [1, 2, 3, 4, 5, 6])],
      attributes: { axis: 1, block_size: 2 },
    },
    { name: 'int16', inputs: [noise(1, [2, 5]), float32([0.0001], []), fromNumbers('int16', [], [7])] },
  ],
})

function codeType(node: Node, zeroPoint: Pick<TensorType, 'dtype'> | undefined): TensorType['dtype'] {
  if (zeroPoint) return zeroPoint.dtype
  const asked = intAttribute(node, 'output_dtype', 0)
  const dtype = asked === 0 ? 'uint8' : fromElementType(asked)
  if (!dtype) throw windowError(node, `output_dtype ${asked} is no element type`)
  return dtype
}
