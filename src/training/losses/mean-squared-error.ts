import { defineLoss } from './loss.ts'

/** The mean over the classes of (z_k − t_k)², for outputs z and one-hot targets t. */
export const meanSquaredError = defineLoss({
  name: 'mean-squared-error',
  summary: 'The mean squared difference between the outputs and one-hot labels.',
  needsTeacher: false,
  chance: () => 1,
  build({ draft, logits, targets, list }) {
    const difference = draft.add('Sub', [logits, targets])
    return draft.add('ReduceMean', [draft.add('Mul', [difference, difference]), list([1])], { keepdims: 0 })
  },
})
