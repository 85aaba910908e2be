import { defineLoss } from './loss.ts'

/**
 * T² Σ_k p_k (log p_k − log q_k), where p and q are the teacher's and the student's softmax of logits / T.
 * The factor T² keeps the gradient's size independent of T (Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural
 * Network, 2015, section 2.1).
 */
export const kullbackLeibler = defineLoss({
  name: 'kullback-leibler',
  summary: "The divergence of the network's softened probabilities from those of a teacher.",
  needsTeacher: true,
  chance: (classes, temperature) => Math.log(classes) * temperature ** 2,
  build({ draft, logits, teacher, temperature, literal, list }) {
    const softened = (values: string) =>
      draft.add('LogSoftmax', [draft.add('Mul', [values, literal(1 / temperature)])], { axis: -1 })
    const student = softened(logits)
    const expected = softened(teacher!)
    const weighted = draft.add('Mul', [draft.add('Exp', [expected]), draft.add('Sub', [expected, student])])
    const divergence = draft.add('ReduceSum', [weighted, list([1])], { keepdims: 0 })
    return draft.add('Mul', [divergence, literal(temperature * temperature)])
  },
})
