/** A classifier's loss on labels, true ones or ones drawn from its own answers, as a part of its graph. */
import { UnsupportedError, UsageError } from '../errors.ts'
import { createDraft, type Draft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { inferShapes } from '../ir/shapes.ts'
import type { Random } from '../tensor/random.ts'
import { float32, int64, type Tensor } from '../tensor/tensor.ts'
import { freshInput, logitsOf } from '../training/forward.ts'
import { crossEntropy } from '../training/losses/cross-entropy.ts'

/** Where labels come from: 'drawn' ones make the mean of squared gradients the Fisher information. */
export type LabelSource = 'true' | 'drawn'

export interface Likelihood {
  /** The model, whose only output is the loss; there may be more nodes, to be dropped when it is finished. */
  readonly draft: Draft
  /** −Σ log p_y over the examples of a batch. */
  readonly loss: string
  /**
   * What a run needs besides the examples.
   * @param labels of the batch.
   * @throws UsageError when they are true ones, and one is none of the model's classes.
   */
  feeds(labels: Int32Array): Readonly<Record<string, Tensor>>
}

export interface LikelihoodOptions {
  /** Examples of a run; the model's sizes have to be bound to it. */
  readonly batch: number
  readonly labels: LabelSource
  readonly random: Random
  /** What the data is called, for errors. */
  readonly place: string
}

/** @throws UnsupportedError when the shape of the model's answers cannot be told. */
export function withLikelihood(model: Model, { batch, labels, random, place }: LikelihoodOptions): Likelihood {
  const draft = createDraft(model)
  const { value } = logitsOf(model, model.graph.outputs[0].name)
  const shape = inferShapes(model).get(value)?.shape
  const classes = shape?.slice(1).reduce((product: number, size) => product * Number(size), 1)
  if (!classes)
    throw new UnsupportedError('logits-shape', `the shape of '${value}' cannot be told`, {
      place: value,
      hint: 'Choose a criterion that needs no gradients.',
    })
  const list = (values: readonly number[]) => draft.constant('likelihood.list', int64(values))
  const literal = (number: number) => draft.constant('likelihood.literal', float32([number], []))
  const logits = draft.add('Reshape', [value, list([batch, classes])])
  const input = freshInput(draft, `likelihood.${labels === 'true' ? 'targets' : 'noise'}`, 'float32', [batch, classes])
  const targets = labels === 'true' ? input : addDraws(draft, logits, input, list(range(classes)))
  const each = crossEntropy.build({ draft, logits, targets, temperature: 1, literal, list })
  const loss = draft.add('ReduceSum', [each], { keepdims: 0 })
  draft.outputs.splice(0)
  draft.output(loss, 'float32')
  return {
    draft,
    loss,
    feeds(known) {
      const values = labels === 'true' ? oneHot(known, classes, place) : gumbel(batch * classes, random)
      return { [input]: float32(values, [batch, classes]) }
    },
  }
}

/** The largest of logits with Gumbel noise is a draw from their softmax: [batch, classes], one-hot. */
function addDraws(draft: Draft, logits: string, noise: string, all: string): string {
  const label = draft.add('ArgMax', [draft.add('Add', [logits, noise])], { axis: 1, keepdims: 1 })
  return draft.add('Cast', [draft.add('Equal', [label, all])], { to: 1 })
}

function gumbel(length: number, random: Random): Float32Array {
  return Float32Array.from({ length }, () => -Math.log(-Math.log(random.uniform() || 1e-9)))
}

function oneHot(labels: Int32Array, classes: number, place: string): Float32Array {
  const targets = new Float32Array(labels.length * classes)
  for (const [i, label] of labels.entries()) {
    if (!(label >= 0 && label < classes))
      throw new UsageError(
        'calibration-labels',
        `an example has the label ${label}; the model knows ${classes} classes`,
        {
          place,
          hint: 'Give data with the labels that the model was trained for, or choose a criterion that needs none.',
        },
      )
    targets[i * classes + label] = 1
  }
  return targets
}

const range = (length: number) => Array.from({ length }, (_, k) => k)
