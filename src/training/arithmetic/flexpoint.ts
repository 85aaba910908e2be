/**
 * Training in Flexpoint (Köster et al. 2017, arXiv 1711.02213): what flows through a step is rounded to integers that
 * share one exponent a tensor, and Autoflex predicts the exponents.
 */
import { ModelError } from '../../errors.ts'
import type { Draft } from '../../ir/draft.ts'
import { firstExponent, toFlexpoint, type FlexpointFormat } from '../../ir/families/flexpoint.ts'
import { neededFor, reachedFrom } from '../../ir/graph.ts'
import { ESPALIER_DOMAIN, type Model, type Node } from '../../ir/model.ts'
import { inferShapes } from '../../ir/shapes.ts'
import { largestMagnitude } from '../../tensor/magnitudes.ts'
import { float32, int64, scalar, type Tensor } from '../../tensor/tensor.ts'
import { freshInput } from '../forward.ts'
import type { TrainingSettings } from '../settings.ts'
import { autoflex, autoflexStart, type AutoflexState } from './autoflex.ts'

/** Standard operators whose outputs have the mantissas and the exponent of their inputs already. */
const carriers = new Set(
  'Identity Relu MaxPool GlobalMaxPool Flatten Reshape Transpose Squeeze Unsqueeze Slice Split Gather DepthToSpace SpaceToDepth'.split(
    ' ',
  ),
)

/** A state of a training step that belongs to no parameter. */
export interface ArithmeticState {
  readonly name: string
  readonly initial: Tensor
  /** The value after the step. */
  readonly next: string
}

/** The rounding of one training step; the methods are called in the order below. */
export interface FlexpointStep {
  /**
   * Rounds the examples, the outputs of layers on the way to `logits`, and the gradients by them where parameters lie
   * in front. Appends to a draft of `model` in its training form.
   * @returns values by which the loss is to be differentiated too.
   */
  activations(draft: Draft, model: Model, images: string, logits: string): readonly string[]
  /** The value that a parameter starts with. @throws ModelError when it is not finite. */
  start(parameter: string, initial: Tensor): Tensor
  /** Rounds the gradients by the parameters, in the parameters' order, and then their updated values. */
  round(draft: Draft, value: string): string
  /** Appends the prediction of the next exponents. @param gradients by the values that `activations` returned. */
  states(
    draft: Draft,
    gradients: ReadonlyMap<string, string>,
    literal: (value: number) => string,
  ): readonly ArithmeticState[]
}

/** The format that the settings name. */
export function formatOf({
  flexpoint = 16,
  flexpointExponent = 5,
}: Partial<Pick<TrainingSettings, 'flexpoint' | 'flexpointExponent'>>): FlexpointFormat {
  return { mantissa: flexpoint, exponent: flexpointExponent }
}

/** Name of the state that counts in how many steps each tensor overflowed, `[T]`. */
export const OVERFLOWS = 'flexpoint.overflows'

/**
 * Flexpoint in a training step: the examples, the outputs of layers, the gradients by both these outputs and the
 * parameters, and the parameters. Each has an exponent, which starts where algorithm 1 of the paper arrives.
 *
 * Differs from the paper: that exponent is computed from the tensor's own maximum instead of by trying; the loss, batch
 * statistics and what the optimizer carries along stay float32; and products are those of float32, not of integers.
 */
export function createFlexpoint(format: FlexpointFormat, parameters: readonly string[]): FlexpointStep {
  const attributes = { mantissa: format.mantissa, exponent: format.exponent }
  // By tensor, the value that holds its largest magnitude; of gradients inside the graph, the value by which it is one.
  const magnitudes: { readonly value: string; readonly probe: boolean }[] = []
  const known: number[] = []
  let exponents = ''

  /** The exponent of the tensor that comes next. */
  const nextExponent = (draft: Draft): string => {
    const index = draft.constant('flexpoint.index', scalar('int64', magnitudes.length))
    return draft.add('Gather', [exponents, index])
  }
  const round = (draft: Draft, value: string): string => {
    const outputs = ['flexpoint', 'flexpoint.maximum']
    const inputs = [value, nextExponent(draft)]
    const [rounded, maximum] = draft.addMany('espalier.Flexpoint', inputs, attributes, { outputs })
    magnitudes.push({ value: maximum, probe: false })
    return rounded
  }
  const roundGradient = (draft: Draft, value: string): string => {
    const probe = draft.constant('flexpoint.probe', scalar('float32', 0))
    const handed = draft.add('espalier.FlexpointGradient', [value, nextExponent(draft), probe], attributes)
    magnitudes.push({ value: probe, probe: true })
    return handed
  }

  return {
    activations(draft, model, images, logits) {
      const values = activationsOf(model, images, logits, parameters)
      const gradients = values.filter(({ behindParameters }) => behindParameters)
      const count = 1 + values.length + gradients.length + 2 * parameters.length
      exponents = freshInput(draft, 'flexpoint.exponents', 'float32', [count])
      known.push(...Array.from({ length: count }, () => -1))

      draft.interpose(images, () => round(draft, images))
      for (const { value, behindParameters } of values) {
        const raw = draft.fresh(`${value}.float32`)
        const at = draft.nodes.findIndex(({ outputs }) => outputs.includes(value))
        const node = draft.nodes[at]
        draft.nodes[at] = { ...node, outputs: node.outputs.map((name) => (name === value ? raw : name)) }
        const rounded = round(draft, raw)
        draft.nodes.push(identity(behindParameters ? roundGradient(draft, rounded) : rounded, value))
      }
      return magnitudes.filter(({ probe }) => probe).map(({ value }) => value)
    },
    start(parameter, initial) {
      const data = initial.data as Float32Array
      const largest = largestMagnitude(data)
      if (!data.every(Number.isFinite))
        throw new ModelError('not-finite', `'${parameter}' has values that are not finite`, {
          place: parameter,
          hint: 'Start from a model whose parameters are finite.',
        })
      if (largest === 0) return initial
      const exponent = firstExponent(largest, format)
      // The parameters are the last tensors.
      known[known.length - parameters.length + parameters.indexOf(parameter)] = exponent
      return float32(
        data.map((value) => toFlexpoint(value, exponent, format)),
        initial.shape,
      )
    },
    round,
    states(draft, gradients, literal) {
      const all = magnitudes.map(({ value, probe }) => (probe ? gradients.get(value)! : value))
      const shape = draft.constant('axes', int64([1]))
      const columns = all.map((value) => draft.add('Reshape', [value, shape]))
      const initial = autoflexStart(known)
      const state: AutoflexState<string> = {
        exponents,
        maxima: freshInput(draft, 'flexpoint.maxima', 'float32', initial.maxima.shape),
        overflows: freshInput(draft, OVERFLOWS, 'float32', initial.overflows.shape),
      }
      const next = autoflex(draft, format, state, draft.add('Concat', columns, { axis: 0 }), literal)
      return (['exponents', 'maxima', 'overflows'] as const).map((key) => ({
        name: state[key],
        initial: initial[key],
        next: next[key],
      }))
    },
  }
}

interface Activation {
  readonly value: string
  /** Whether parameters lie in front of it, so that its gradient is asked for. */
  readonly behindParameters: boolean
}

/** The float32 outputs of nodes between the images and the logits that compute anything. */
function activationsOf(model: Model, images: string, logits: string, parameters: readonly string[]): Activation[] {
  const { nodes } = model.graph
  const types = inferShapes(model)
  const needed = neededFor(nodes, [logits])
  const fromImages = reachedFrom(nodes, [images])
  const fromParameters = reachedFrom(nodes, parameters)
  return nodes.flatMap(({ domain, op, outputs: [value] }) => {
    const rounded = needed.has(value) && fromImages.has(value) && types.get(value)?.dtype === 'float32'
    if (!rounded || (domain === '' && carriers.has(op))) return []
    return [{ value, behindParameters: fromParameters.has(value) }]
  })
}

function identity(from: string, to: string): Node {
  const name = `${ESPALIER_DOMAIN}/${to}`
  return { name, op: 'Identity', domain: '', inputs: [from], outputs: [to], attributes: {} }
}
