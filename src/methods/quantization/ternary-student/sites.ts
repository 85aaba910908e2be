/** Which layers are neurons with a ternary activation, and how the student's stand in their place. */
import { commutingNodes } from '../../commuting-nodes.ts'
import { constantValues, type ConstantValues } from '../../../ir/constant-values.ts'
import { createDraft } from '../../../ir/draft.ts'
import { graphIndex } from '../../../ir/graph.ts'
import { ESPALIER_DOMAIN, floatAttribute, type Model, type Node } from '../../../ir/model.ts'
import { layers, type Layer } from '../../../ir/rewrite.ts'
import { inferShapes, type TypeTable } from '../../../ir/shapes.ts'
import type { DType } from '../../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../../tensor/elements.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { lift } from '../../../training/lift.ts'
import { affineOf, isBatchNorm } from '../../architecture/batch-norm/affine.ts'
import { outputChannelAxis } from '../../calibration-sensitivity.ts'
import { standardForm } from '../activations/family/standard-form.ts'
import { withIntegerCodes } from '../integer-codes.ts'

/** A layer of the teacher behind which a ternary activation stands. */
export interface NeuronSite {
  readonly layer: Layer
  /** What the activation reads is tanh's argument z = factor · (w x) + shift, by output channel. */
  readonly factor: Float64Array
  readonly shift: Float64Array
  /** The nodes between the two, in order; those that become part of the thresholds vanish. */
  readonly between: readonly { readonly output: string; readonly vanishes: boolean }[]
  /** What the activation puts out. */
  readonly output: string
  /** Axes of the layer's output, and which of them is that of the channels. */
  readonly rank: number
  readonly axis: number
  readonly dtype: DType
}

/** A neuron fires in most cases where |tanh z| > 1/2: there the thresholds of the activation lie. */
const FIRES = Math.atanh(0.5)

/** What is known of the teacher. */
export interface Teacher {
  /** Whether any of its activations is ternary. */
  readonly ternary: boolean
  /** The site of a layer; undefined where no ternary activation follows that can be told to be of this layer alone. */
  site(layer: Layer): NeuronSite | undefined
}

/** Recognizes the ternary activations of a model in the standard form that they leave in. */
export function teacherOf(model: Model): Teacher {
  const lifted = lift(model)
  const index = graphIndex(lifted.graph)
  const constant = constantValues(lifted)
  const types = inferShapes(model)
  return {
    ternary: lifted.graph.nodes.some((node) => isTernary(node, constant)),
    site(layer) {
      const start = outputOf(layer, constant, types)
      if (!start) return undefined
      const { factor, shift } = start
      const between: { output: string; vanishes: boolean }[] = []
      let value = layer.node.outputs[0]
      // What of the channels can still be told: their axis, none behind nodes that move values.
      let axis: number | undefined = start.axis
      let pooled = false
      while (!index.isOutput(value) && index.consumers(value).length === 1) {
        const [node] = index.consumers(value)
        const [output] = node.outputs
        if (isTernary(node, constant) && node.inputs[0] === value) {
          const steps = stepsOf(constant(node.inputs[1])!, { ...start, axis })
          if (!steps || index.isOutput(output)) return undefined
          return {
            ...start,
            layer,
            factor: factor.map((a, c) => a * steps.factor[c]),
            between,
            output,
            shift: shift.map((b, c) => b * steps.factor[c] + steps.shift[c]),
          }
        }
        const affine = axis === undefined ? undefined : affineNode(node, value, { ...start, axis }, constant)
        if (affine) {
          if (pooled && affine.factor.some((a) => a < 0)) return undefined
          for (let c = 0; c < factor.length; c++) {
            factor[c] *= affine.factor[c]
            shift[c] = shift[c] * affine.factor[c] + affine.shift[c]
          }
        } else {
          const plain = node.domain === '' && commutingNodes.has(node.op) && node.inputs[0] === value
          if (!plain || node.outputs.slice(1).some((name) => name !== '')) return undefined
          pooled ||= node.op.endsWith('MaxPool')
          if (!['MaxPool', 'GlobalMaxPool', 'Dropout', 'Identity'].includes(node.op)) axis = undefined
        }
        between.push({ output, vanishes: affine !== undefined })
        value = output
      }
      return undefined
    },
  }
}

function isTernary({ op, domain, inputs }: Node, constant: ConstantValues): boolean {
  if (op !== 'StepFunction' || domain !== ESPALIER_DOMAIN) return false
  const levels = constant(inputs[2])
  return constant(inputs[1]) !== undefined && levels !== undefined && String([...toNumbers(levels)]) === '-1,0,1'
}

interface Channels {
  readonly channels: number
  readonly rank: number
  readonly axis: number | undefined
}

/** The layer's own output of its product: the factor of a Gemm, and the bias of Conv and Gemm. */
function outputOf(
  { node, weight, outAxis, input }: Layer & { readonly weight: string },
  constant: ConstantValues,
  types: TypeTable,
) {
  const type = types.get(node.outputs[0])
  const channels = outAxis === undefined ? undefined : constant(weight)?.shape[outAxis]
  if (!type?.shape || channels === undefined || (type.dtype !== 'float32' && type.dtype !== 'float16')) return undefined
  const rank = type.shape.length
  const axis = outputChannelAxis({ node, input } as Layer, rank)
  const bias = node.op !== 'MatMul' && node.inputs[2] ? constant(node.inputs[2]) : undefined
  const place = node.op === 'Conv' ? { channels, rank: 1, axis: 0 } : { channels, rank, axis }
  const values = bias ? byChannel(bias, place) : new Float64Array(channels)
  if (!values || (node.inputs[2] && !bias)) return undefined
  const [alpha, beta] = ['alpha', 'beta'].map((name) => (node.op === 'Gemm' ? floatAttribute(node, name, 1) : 1))
  const factor = new Float64Array(channels).fill(alpha)
  return { channels, rank, axis, dtype: type.dtype, factor, shift: values.map((b) => b * beta) }
}

/** Numbers that are one a channel, or one for all. */
function byChannel(tensor: Tensor, { channels, rank, axis }: Channels): Float64Array | undefined {
  const own = axis === undefined ? -1 : axis - (rank - tensor.shape.length)
  const fits = tensor.shape.every((size, i) => size === 1 || (i === own && size === channels))
  if (!fits) return undefined
  const values = toNumbers(tensor)
  return Float64Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c])
}

/** What a normalization, or the addition of a bias, does to each channel. */
function affineNode(node: Node, value: string, at: Channels, constant: ConstantValues) {
  if (isBatchNorm(node) && node.inputs[0] === value && at.axis === 1) {
    const found = affineOf(node, constant)
    return found && { factor: found.factor, shift: found.factor.map((a, c) => found.shift[c] - a * found.mean[c]) }
  }
  if (node.op !== 'Add' || node.domain !== '') return undefined
  const added = constant(node.inputs[node.inputs[0] === value ? 1 : 0])
  const shift = added && added.shape.length <= at.rank ? byChannel(added, at) : undefined
  return shift && { factor: new Float64Array(at.channels).fill(1), shift }
}

/**
 * What leads from the activation's input to z: with thresholds l and h, those of the most probable value at
 * ±atanh(1/2), z = atanh(1/2) (2 x - l - h) / (h - l). A normalization that went into the thresholds before is found
 * again so.
 */
function stepsOf(thresholds: Tensor, at: Channels) {
  const shape = thresholds.shape.slice(1)
  const values = toNumbers(thresholds)
  const half = values.length / 2
  const [low, high] = [0, 1].map((i) =>
    byChannel(fromNumbers('float64', shape, values.slice(i * half, (i + 1) * half)), at),
  )
  if (!low || !high || low.some((l, c) => !(high[c] > l) || !Number.isFinite(high[c] - l))) return undefined
  const factor = low.map((l, c) => (2 * FIRES) / (high[c] - l))
  return { factor, shift: low.map((l, c) => (-factor[c] * (l + high[c])) / 2) }
}

/** The neurons of a site: codes in the order of the weight's initializer, and two thresholds a channel. */
export interface StudentNeurons {
  readonly codes: Int8Array
  readonly low: Float64Array
  readonly high: Float64Array
}

/**
 * The model in which the layer adds and subtracts its inputs, and the step function stands directly behind it. The
 * bias, normalization and the teacher's activation are gone.
 * @returns also the value that stands for what the teacher's activation put out.
 */
export function withNeurons(
  model: Model,
  site: NeuronSite,
  { codes, low, high }: StudentNeurons,
): { readonly model: Model; readonly output: string } {
  const [output] = site.layer.node.outputs
  const own = layers(model).find(({ node }) => node.outputs[0] === output)!
  const coded = withIntegerCodes(model, [{ layer: own, codes, scale: Float32Array.of(1), packed: true }])
  const draft = createDraft(coded)
  const at = draft.nodes.findIndex(({ outputs }) => outputs[0] === output)
  const { alpha: _, beta: __, ...attributes } = draft.nodes[at].attributes
  const sum = draft.fresh(`${output}.sum`)
  const inputs = draft.nodes[at].inputs.slice(0, 2)
  draft.nodes[at] = { ...draft.nodes[at], name: own.name, inputs, outputs: [sum], attributes }
  const shape = [2, ...Array.from({ length: site.rank - site.axis }, (___, i) => (i === 0 ? low.length : 1))]
  const limit = site.dtype === 'float16' ? 65504 : (2 - 2 ** -23) * 2 ** 127
  const finite = [...low, ...high].map((value) => Math.max(-limit, Math.min(limit, value)))
  const thresholds = draft.constant(`${own.name}.thresholds`, fromNumbers(site.dtype, shape, finite))
  const levels = draft.constant(`${own.name}.levels`, fromNumbers(site.dtype, [3], [-1, 0, 1]))
  const gradient = { gradient: 'hard-tanh' }
  const fired = draft.add('espalier.StepFunction', [sum, thresholds, levels], gradient, { name: `${own.name}.fired` })
  let value = fired
  draft.redirect(output, value)
  for (const node of site.between) {
    if (node.vanishes) draft.redirect(node.output, value)
    else value = node.output
  }
  draft.redirect(site.output, value)
  const written = standardForm(draft.finish(), new Set(), coded)
  // The nodes of the step function name their results themselves.
  const made = () => lift(written).graph.nodes.find(({ op, inputs: [x] }) => op === 'StepFunction' && x === sum)!
  return { model: written, output: value === fired ? made().outputs[0] : value }
}
