/** Layers that a method has replaced by several: how their parts are called, so that reports find them again. */
import type { Model, Node } from '../ir/model.ts'
import { layers } from '../ir/rewrite.ts'

/** What a part of a layer that became several is called. */
export function partName(layer: string, part: string): string {
  return `${layer}.${part}`
}

/**
 * The nodes that stand for a layer of the original, in order, by its name, where the model has them instead of it: those
 * that are called after it, as `partName` does, and compute something from its input.
 */
export function partsOfLayers(original: Model, model: Model): ReadonlyMap<string, readonly Node[]> {
  const names = new Set(layers(original).map(({ name }) => name))
  const known = new Set(original.graph.nodes.map(({ name }) => name))
  const now = layers(model)
  const present = new Set(now.map(({ name }) => name))
  const sources = new Set(now.flatMap(({ source }) => source))
  const parts = new Map<string, Node[]>()
  for (const node of model.graph.nodes) {
    const whole = known.has(node.name) || sources.has(node) ? undefined : wholeOf(node.name, names)
    if (whole !== undefined && !present.has(whole)) parts.set(whole, [...(parts.get(whole) ?? []), node])
  }
  return parts
}

/** The longest of the names after which another is called. */
function wholeOf(part: string, names: ReadonlySet<string>): string | undefined {
  for (let end = part.lastIndexOf('.'); end > 0; end = part.lastIndexOf('.', end - 1))
    if (names.has(part.slice(0, end))) return part.slice(0, end)
  return undefined
}
