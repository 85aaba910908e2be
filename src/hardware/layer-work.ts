/** What a layer computes and moves for one example, as far as the graph tells it. */
import { macsOf } from '../ir/cost.ts'
import { graphIndex, type GraphIndex } from '../ir/graph.ts'
import type { Model, TensorType } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { inferShapes, rebatch } from '../ir/shapes.ts'
import { dtypes } from '../tensor/dtype.ts'
import { elementCount } from '../tensor/tensor.ts'

export interface LayerWork {
  /** Multiply-accumulates, zero weights among them. */
  readonly macs: number
  readonly weights: number
  /** Elements of the feature maps that the layer reads and writes. */
  readonly inputs: number
  readonly outputs: number
  /** Bits of a weight as the graph stores it: of its code, where it has one. */
  readonly weightBits: number
  /** Bits of a weight as it is multiplied: those of the codebook's entry, where it is a place in one. */
  readonly factorBits: number
  /** Bits of an element of the feature map that is read: of its code, where it is dequantized right before the layer. */
  readonly inputBits: number
  /** Bits of an element of the feature map that is written: of its code, where it is quantized right behind the layer. */
  readonly outputBits: number
  /** Whether both factors of its products are integers. */
  readonly integer: boolean
}

/** The work of each layer for one example, by name; without the layers whose shapes cannot be told. */
export function layerWork(model: Model): Map<string, LayerWork> {
  const single = rebatch(model, 1)
  const types = inferShapes(single)
  const index = graphIndex(single.graph)
  const typeOf: TypeOf = (value) => {
    const type = types.get(value)
    return type?.shape?.every((size) => typeof size === 'number') ? (type as StaticType) : undefined
  }
  const macs = macsOf(model)
  const result = new Map<string, LayerWork>()
  for (const layer of layers(single)) {
    const { node, input, name } = layer
    const own = single.graph.initializers.get(layer.weight)!
    const [factor, data, output] = [node.inputs[input], node.inputs[1 - input], node.outputs[0]].map(typeOf)
    if (!macs.has(name) || !factor || !data || !output) continue
    const weightBits = dtypes[own.dtype].bits
    const code = codeBits(node.inputs[1 - input], index, typeOf)
    const integers = hasIntegers(layer)
    result.set(name, {
      macs: macs.get(name)!,
      weights: elementCount(own.shape),
      inputs: elementCount(data.shape),
      outputs: elementCount(output.shape),
      weightBits,
      factorBits: integers ? weightBits : dtypes[factor.dtype].bits,
      inputBits: code ?? dtypes[data.dtype].bits,
      outputBits: quantizedBits(node.outputs[0], index, typeOf) ?? dtypes[output.dtype].bits,
      integer: code !== undefined && integers,
    })
  }
  return result
}

type StaticType = TensorType & { readonly shape: readonly number[] }

/** The type of a value whose sizes are all known. */
type TypeOf = (value: string) => StaticType | undefined

/** The bits of the integers from which a value is dequantized; undefined where it is not. */
function codeBits(value: string, index: GraphIndex, typeOf: TypeOf): number | undefined {
  const producer = index.producer(value)
  const dtype = producer?.op === 'DequantizeLinear' ? typeOf(producer.inputs[0])?.dtype : undefined
  return dtype && dtypes[dtype].bits
}

/** The bits of the integers that all readers make of a value; undefined where one reads it as it is. */
function quantizedBits(value: string, index: GraphIndex, typeOf: TypeOf): number | undefined {
  const readers = index.consumers(value)
  if (readers.length === 0 || index.isOutput(value)) return undefined
  const bits = readers.map(({ op, outputs }) => {
    const dtype = op === 'QuantizeLinear' ? typeOf(outputs[0])?.dtype : undefined
    return dtype && dtypes[dtype].bits
  })
  return bits.includes(undefined) ? undefined : Math.max(...(bits as number[]))
}

/** Codes that stand for themselves times a scale; an index into a codebook is no factor. */
function hasIntegers({ source }: Layer): boolean {
  return source.some(({ op }) => op === 'DequantizeLinear') && source.every(({ op }) => op !== 'Gather')
}
