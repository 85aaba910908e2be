import { defineLoss } from './loss.ts'

/** −Σ_k t_k log softmax(z)_k, for logits z and one-hot targets t. */
export const crossEntropy = defineLoss({
  name: 'cross-entropy',
  summary: 'The negative logarithm of the probability that the network gives to the right class.',
  needsTeacher: false,
  chance: (classes) => Math.log(classes),
  build({ draft, logits, targets, list }) {
    const logProbabilities = draft.add('LogSoftmax', [logits], { axis: -1 })
    const chosen = draft.add('Mul', [logProbabilities, targets])
    return draft.add('Neg', [draft.add('ReduceSum', [chosen, list([1])], { keepdims: 0 })])
  },
})
