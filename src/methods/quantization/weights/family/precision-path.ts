/** Choices of one precision for each of several layers, whose costs and damages add up. */

/** One precision of a layer. */
export interface Choice {
  readonly precision: number
  /** Bits of all of its weights. */
  readonly cost: number
  /** What it loses; may be negative. */
  readonly damage: number
}

/** One entry a layer; undefined where a layer has nothing to choose from. */
export type Chosen = readonly (Choice | undefined)[]

/** The choice of fewest bits for each layer, of equal ones the less damaging. */
export function cheapest(layers: readonly (readonly Choice[])[]): Chosen {
  return layers.map((choices) =>
    choices.reduce<Choice | undefined>(
      (best, one) =>
        !best || one.cost < best.cost || (one.cost === best.cost && one.damage < best.damage) ? one : best,
      undefined,
    ),
  )
}

/**
 * The choices that minimise damage + λ · cost over all layers, for every λ, from the fewest bits to the least damage:
 * the corners of the layers' lower convex hulls in the order of their slopes.
 */
export function precisionPath(layers: readonly (readonly Choice[])[]): Chosen[] {
  const start = cheapest(layers)
  const steps = layers.flatMap((choices, layer) => hullSteps(choices, start[layer]).map((step) => ({ ...step, layer })))
  steps.sort((a, b) => b.gain - a.gain || a.layer - b.layer)
  const path: Chosen[] = [start]
  for (const { layer, to } of steps) path.push(path.at(-1)!.map((choice, i) => (i === layer ? to : choice)))
  return path
}

/** The corners behind the cheapest, each with the damage that a further bit takes away. */
function hullSteps(
  choices: readonly Choice[],
  start: Choice | undefined,
): { readonly to: Choice; readonly gain: number }[] {
  const steps: { to: Choice; gain: number }[] = []
  for (let at = start; at;) {
    const from: Choice = at
    const gain = (to: Choice) => (from.damage - to.damage) / (to.cost - from.cost)
    let best: Choice | undefined
    for (const to of choices) {
      if (to.cost <= from.cost || to.damage >= from.damage) continue
      if (!best || gain(to) > gain(best) || (gain(to) === gain(best) && to.cost > best.cost)) best = to
    }
    if (best) steps.push({ to: best, gain: gain(best) })
    at = best
  }
  return steps
}

/**
 * The last choice of the path within the budget, and then, as long as something fits, the change that takes away the
 * most damage for a bit. The budget has room for the cheapest.
 */
export function withinBudget(layers: readonly (readonly Choice[])[], budget: number): Chosen {
  const costOf = (chosen: Chosen) => chosen.reduce((sum, choice) => sum + (choice?.cost ?? 0), 0)
  const tolerance = 1e-9 * budget
  let chosen = precisionPath(layers).findLast((one) => costOf(one) <= budget + tolerance)!
  for (;;) {
    const rest = budget + tolerance - costOf(chosen)
    let [best, gain, layer] = [undefined as Choice | undefined, 0, 0]
    for (const [i, choices] of layers.entries()) {
      const from = chosen[i]
      for (const to of choices) {
        if (to.cost - from!.cost > rest || to.damage >= from!.damage) continue
        const own = (from!.damage - to.damage) / Math.max(to.cost - from!.cost, Number.MIN_VALUE)
        if (own > gain) [best, gain, layer] = [to, own, i]
      }
    }
    if (!best) return chosen
    chosen = chosen.map((choice, i) => (i === layer ? best : choice))
  }
}
