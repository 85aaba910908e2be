/** Layers with codes in the places of their weights, and the check that the codes say what was chosen. */
import { constantValues } from '../../../../ir/constant-values.ts'
import type { Model } from '../../../../ir/model.ts'
import { layers } from '../../../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../../../tensor/half.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { withCodebooks } from '../../../codebooks.ts'
import type { ProofCheck } from '../../../method.ts'
import { withIntegerBias, withIntegerCodes, type CodedBias } from '../../integer-codes.ts'
import { relativeSquaredError, type GranularityOptions, type QuantizedLayer } from './quantized-layer.ts'
import type { LayerToTrain } from './trained-form.ts'

/** A layer that is quantized: what it was, and what is written. */
export interface WrittenLayer {
  readonly chosen: LayerToTrain<GranularityOptions & Readonly<Record<string, unknown>>>
  /** Its weight as it was. */
  readonly tensor: Tensor
  /** The numbers that were quantized: those of `tensor`, or what training made of them. */
  readonly weights: Float32Array
  readonly result: QuantizedLayer
}

/** The model with codes in the places of weights, and of biases where there are any. */
export function withWeights(model: Model, done: readonly WrittenLayer[], biases: readonly CodedBias[] = []): Model {
  const coded = done.flatMap(({ result }) => result.coded ?? [])
  const shared = done.flatMap(({ result }) => result.shared ?? [])
  return withCodebooks(withIntegerBias(withIntegerCodes(model, coded), biases), shared, false).model
}

/**
 * Computes each weight from the graph, as an engine will, and compares it with what the method chose.
 * @param name of the method, for the report.
 */
export function checkValues(name: string, quantized: Model, done: readonly WrittenLayer[]): ProofCheck {
  const check = `${name}: codes say the chosen values`
  const value = constantValues(quantized)
  const now = new Map(layers(quantized).map((layer) => [layer.name, layer]))
  const errors: number[] = []
  let [bits, count] = [0, 0]
  for (const { chosen, tensor, weights, result } of done) {
    const { layer } = chosen
    const source = now.get(layer.name)?.source.find(({ op }) => op === (result.coded ? 'DequantizeLinear' : 'Gather'))
    const computed = source && value(source.outputs[0])
    const numbers = computed && toFloat32(fromFloat32(tensor.dtype, tensor.shape, toFloat32(computed)))
    if (!numbers || numbers.some((number, i) => number !== result.values[i]))
      return { check, passed: false, detail: `the weights of '${layer.name}' are not those that were chosen` }
    errors.push(Math.sqrt(relativeSquaredError(weights, result.values)))
    bits += result.bits * weights.length
    count += weights.length
  }
  const [least, most] = [Math.min(...errors), Math.max(...errors)].map((error) => error.toPrecision(2))
  const detail = `${done.length} layers at ${(bits / count).toFixed(2)} bits a weight with scales, before entropy coding`
  return { check, passed: true, detail: `${detail}; relative error of the weights ${least} to ${most}` }
}
