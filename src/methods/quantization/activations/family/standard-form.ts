/** Quantizers as they leave: standard nodes that onnxruntime computes as they stand. */
import { inlineCustomFunctions } from '../../../../autodiff/lower.ts'
import { constantValues } from '../../../../ir/constant-values.ts'
import { createDraft } from '../../../../ir/draft.ts'
import { graphIndex, valueNames } from '../../../../ir/graph.ts'
import type { Model } from '../../../../ir/model.ts'
import { layers } from '../../../../ir/rewrite.ts'
import { float32 } from '../../../../tensor/tensor.ts'
import { dataInput } from './placement.ts'

/** The largest finite float32. */
const LARGEST = (2 - 2 ** -23) * 2 ** 127

/**
 * The bodies of the quantizers in their places, with what they compute from their parameters alone as constants.
 *
 * Between a DequantizeLinear and a layer stands a Clip that changes nothing. Without it onnxruntime rounds float
 * weights of Conv and Gemm to eight bits, and biases to multiples of the product of both scales, when it loads the
 * model (its WeightBiasQuantization, from the optimization level 'basic' on): on tiny models results were 1 % off.
 * @param names of the layers whose inputs were quantized.
 * @param original the model before, whose own constants and computations stay as they are.
 */
export function standardForm(prepared: Model, names: ReadonlySet<string>, original: Model): Model {
  const draft = createDraft(folded(inlineCustomFunctions(prepared), original))
  const index = graphIndex(draft)
  const guards = new Map<string, string>()
  const guard = (value: string): string => {
    const known = guards.get(value) ?? draft.add('Clip', [value, bound(-LARGEST), bound(LARGEST)])
    guards.set(value, known)
    return known
  }
  const bound = (value: number) => draft.constant('bound', float32([value], []))
  for (const layer of layers(draft.finish())) {
    const value = dataInput(layer)
    if (!names.has(layer.name) || index.producer(value)?.op !== 'DequantizeLinear') continue
    const at = draft.nodes.indexOf(layer.node)
    const inputs = layer.node.inputs.map((input, i) => (i === 1 - layer.input ? guard(value) : input))
    draft.nodes[at] = { ...layer.node, inputs }
  }
  return draft.finish()
}

function folded(plain: Model, original: Model): Model {
  const value = constantValues(plain)
  const old = valueNames(original.graph)
  const draft = createDraft(plain)
  const kept = draft.nodes.filter(({ outputs: [output] }) => {
    const tensor = old.has(output) ? undefined : value(output)
    if (tensor) draft.initializers.set(output, tensor)
    return tensor === undefined
  })
  draft.nodes.splice(0, draft.nodes.length, ...kept)
  return draft.finish()
}
