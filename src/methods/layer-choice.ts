import { z } from 'zod'
import { nearestName, UsageError } from '../errors.ts'
import { subgraphs, type Graph, type Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { elementCount } from '../tensor/tensor.ts'
import type { Context } from './method.ts'

/**
 * A pattern that names layers: a layer's name, its weight's name or its operator type, with `*` for any characters
 * and `?` for one; `:conv` and `:dense` stand for all layers of a kind, `:large` for those of 100,000 weights and more.
 */
const layerPattern = z
  .string()
  .min(1)
  .max(200)
  .describe('layer name with * and ?, operator type, :conv, :dense or :large')

/** The options by which every method that works layer by layer lets its layers be chosen. */
export const layerChoiceOptions = {
  include: z.array(layerPattern).optional().describe('only these layers; default: all'),
  exclude: z.array(layerPattern).optional().describe('not these layers'),
}

/** The same options with nothing filled in, so that what is not said for a layer comes from the method's own. */
export function withoutDefaults(shape: z.ZodRawShape): z.ZodRawShape {
  return Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, withoutDefault(schema)]))
}

/** The option with nothing filled in. */
export function withoutDefault(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodDefault ? schema.unwrap() : schema
}

/** Per-layer overrides of the options of `shape`, keyed by pattern; where several fit, later ones win. */
export function layerOverrides<Shape extends z.ZodRawShape>(shape: Shape) {
  return z
    .record(layerPattern, z.strictObject(shape).partial())
    .optional()
    .describe('options of single layers, by name or pattern')
}

/** Dense layers multiply by a matrix; the others convolve. */
export function layerKind(layer: Layer): 'conv' | 'dense' {
  return layer.node.op.startsWith('Conv') || layer.node.op === 'QLinearConv' ? 'conv' : 'dense'
}

/** From so many weights on a layer is `:large`: there the bytes are, and a bit less of precision shows least. */
const LARGE = 100_000
const groups = [':conv', ':dense', ':large']

/** Whether `pattern` names the layer of `model`. */
function matchesLayer(pattern: string, layer: Layer, model: Model): boolean {
  if (pattern === ':large') return elementCount(model.graph.initializers.get(layer.weight)?.shape ?? [0]) >= LARGE
  if (pattern.startsWith(':')) return pattern === `:${layerKind(layer)}`
  const glob = parseGlob(pattern)
  return [layer.name, layer.weight, layer.node.op].some((name) => glob(name))
}

/** Matches in time linear in pattern × name: no regular expression that a hostile recipe could make explode. */
function parseGlob(pattern: string): (name: string) => boolean {
  return (name) => {
    let p = 0
    let n = 0
    let star = -1
    let resume = 0
    while (n < name.length) {
      if (pattern[p] === '*') {
        star = p++
        resume = n
      } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
        p++
        n++
      } else if (star >= 0) {
        p = star + 1
        n = ++resume
      } else return false
    }
    while (pattern[p] === '*') p++
    return p === pattern.length
  }
}

export interface LayerChoice {
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly layers?: Readonly<Record<string, object>>
}

/**
 * The layers that a method is to work on, one for each different weight, in the order of execution.
 * Layers that the choice leaves out, and those inside sub-graphs, which no method reaches, are reported as skipped.
 * @throws UsageError when a pattern names no layer.
 */
export function chooseLayers(model: Model, choice: LayerChoice, context: Context): Layer[] {
  const all = layers(model)
  const patterns = [...(choice.include ?? []), ...(choice.exclude ?? []), ...Object.keys(choice.layers ?? {})]
  for (const pattern of patterns) {
    if (pattern.startsWith(':') ? groups.includes(pattern) : all.some((layer) => matchesLayer(pattern, layer, model)))
      continue
    const near = nearestName(pattern, pattern.startsWith(':') ? groups : all.map((layer) => layer.name))
    throw new UsageError('layer-pattern', `no layer is called '${pattern}'`, {
      place: pattern,
      hint: near
        ? `Did you mean '${near}'?`
        : `The layers are: ${all.map((layer) => layer.name).join(', ') || 'none'}.`,
    })
  }
  for (const name of layersInSubgraphs(model.graph))
    context.skip(name, 'it lies inside a sub-graph of If, Loop or Scan')
  const seen = new Set<string>()
  return all.filter((layer) => {
    if (choice.include && !choice.include.some((pattern) => matchesLayer(pattern, layer, model))) {
      context.skip(layer.name, 'not among the included layers')
      return false
    }
    if (choice.exclude?.some((pattern) => matchesLayer(pattern, layer, model))) {
      context.skip(layer.name, 'excluded by the options')
      return false
    }
    if (seen.has(layer.weight)) return false
    seen.add(layer.weight)
    return true
  })
}

/** The options for one layer: the method's own, overridden by each entry of `layers` whose pattern names the layer. */
export function optionsOfLayer<Options extends LayerChoice>(options: Options, layer: Layer, model: Model): Options {
  return optionsOfLayers(options, [layer], model)
}

/** The options for layers that can only be treated alike: an entry of `layers` holds when it names one of them. */
export function optionsOfLayers<Options extends LayerChoice>(
  options: Options,
  members: readonly Layer[],
  model: Model,
): Options {
  const fitting = Object.entries(options.layers ?? {}).filter(([pattern]) =>
    members.some((layer) => matchesLayer(pattern, layer, model)),
  )
  return Object.assign({}, options, ...fitting.map(([, override]) => override)) as Options
}

function layersInSubgraphs(graph: Graph, inside = false): string[] {
  return graph.nodes.flatMap((node) => [
    ...(inside && /^(Conv|ConvTranspose|Gemm|MatMul)$/.test(node.op) ? [node.name || node.outputs[0]] : []),
    ...subgraphs(node).flatMap((body) => layersInSubgraphs(body, true)),
  ])
}
