import type { Budget } from './recipe.ts'

export interface Tried<Pass> {
  readonly strength: number
  /** In points; negative where accuracy rose. */
  readonly accuracyLoss: number
  readonly pass: Pass
}

export interface StrengthSearch<Pass> {
  readonly run: (strength: number) => Promise<{ pass: Pass; accuracyLoss: number }>
}

/**
 * Looks for the greatest strength that keeps the budget. The recipe as written, strength 1, comes first: when it keeps
 * the budget, that is the answer, unless the budget says `push`; then the search goes on between 1 and 2, otherwise
 * between 0 and 1, halving the interval with each trial. Where nothing keeps the budget, what lost least is the answer.
 * @param trials further runs; default the budget's. 0 where no method has a strength to turn.
 */
export async function searchStrength<Pass>(
  budget: Budget,
  trials: number | undefined,
  search: StrengthSearch<Pass>,
): Promise<{ best: Tried<Pass>; tried: readonly Tried<Pass>[] }> {
  const tried: Tried<Pass>[] = []
  const attempt = async (strength: number) => {
    const result = { strength, ...(await search.run(strength)) }
    tried.push(result)
    return result.accuracyLoss <= budget.maxAccuracyLoss
  }
  const kept = await attempt(1)
  let [low, high] = kept ? [1, 2] : [0, 1]
  const further = trials ?? (kept && !budget.push ? 0 : budget.trials)
  for (let trial = 0; trial < further; trial++) {
    const middle = (low + high) / 2
    if (await attempt(middle)) low = middle
    else high = middle
  }
  const within = tried.filter(({ accuracyLoss }) => accuracyLoss <= budget.maxAccuracyLoss)
  const best =
    within.length > 0
      ? within.reduce((a, b) => (b.strength > a.strength ? b : a))
      : tried.reduce((a, b) => (b.accuracyLoss < a.accuracyLoss ? b : a))
  return { best, tried }
}
