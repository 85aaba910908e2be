/** What the layers of a model became, one by one. */
import { describePack } from '../formats/pack/describe.ts'
import { layerEnergy } from '../hardware/energy.ts'
import { layerWork, type LayerWork } from '../hardware/layer-work.ts'
import type { Model, Node } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { partsOfLayers } from '../methods/layer-parts.ts'
import { constantsOf } from '../methods/weights.ts'
import { byteLength, elementCount } from '../tensor/tensor.ts'
import { denseLayers, type DenseLayer } from './dense.ts'
import { histogramOf, rangeOf } from './histogram.ts'
import type { LayerPart, LayerResult, WorkComparison } from './result.ts'

/**
 * The table of layers: shapes, work, density, bits and bytes before and after, and the errors of their outputs. A layer that
 * became several is one row, with all that its parts take.
 */
export function measureLayers(
  original: Model,
  model: Model,
  pack: Uint8Array,
  outputErrors: ReadonlyMap<string, number>,
): LayerResult[] {
  const bytesOf = bytesByTensor(model, pack)
  const [workBefore, workAfter] = [layerWork(original), layerWork(model)]
  const findStored = storedLayers(original, model)
  return Array.from(denseLayers(original), ({ layer, values, shape, bytes }) => {
    const stored = findStored(layer)
    if (!stored) return []
    const { results, constants, parts } = stored
    const bytesAfter = Math.round([...constants].reduce((sum, name) => sum + (bytesOf.get(name) ?? 0), 0))
    const work = compareWork(
      { work: workBefore.get(layer.name), density: densityOf(values) },
      results.map(({ layer: { name }, values: now }) => ({ work: workAfter.get(name), density: densityOf(now) })),
    )
    const { from, to } = rangeOf(values)
    const bias = layer.bias ? elementCount(original.graph.initializers.get(layer.bias)?.shape ?? [0]) : 0
    const outputError = outputErrors.get(layer.name)
    const same = parts !== undefined || results[0].shape.join() === shape.join()
    return [
      {
        name: layer.name,
        op: layer.node.op,
        weight: layer.weight,
        shape,
        ...(same ? {} : { shapeAfter: results[0].shape }),
        ...(parts ? { parts } : {}),
        parameters: values.length + bias,
        ...(work ? { work } : {}),
        density: densityOf(...results.map((result) => result.values)),
        bitsPerWeight: (bytesAfter * 8) / Math.max(1, values.length),
        bytesBefore: bytes,
        bytesAfter,
        ...(outputError === undefined ? {} : { outputError }),
        before: histogramOf(values, from, to),
        ...(parts ? {} : { after: histogramOf(results[0].values, from, to) }),
      },
    ]
  }).flat()
}

/** What stands for a layer of the original now. */
interface StoredLayer {
  /** Its weights, or those of each of the layers that it became. */
  readonly results: readonly DenseLayer[]
  /** The initializers that they are computed from, and those between the parts; without biases. */
  readonly constants: ReadonlySet<string>
  /** Present where it became several. */
  readonly parts?: readonly LayerPart[]
}

/** Finds what the layers became: by their names, or by those of their parts. */
function storedLayers(original: Model, model: Model): (layer: Layer) => StoredLayer | undefined {
  const dense = denseLayers(model)
  const computed = new Map(dense.layers.map((layer) => [layer.name, layer]))
  const own = new Map(layers(model).map((layer) => [layer.name, layer]))
  const split = partsOfLayers(original, model)
  const { initializers } = model.graph
  const read = (name: string) => (own.has(name) && computed.has(name) ? dense.read(computed.get(name)!) : undefined)
  const constantsOfNode = (node: Node) => node.inputs.filter((input) => initializers.has(input))
  return ({ name }) => {
    const nodes = split.get(name)
    if (!nodes) {
      const result = read(name)
      return result && { results: [result], constants: constantsOf(model, own.get(name)!) }
    }
    const results = new Map(nodes.map((node) => [node, read(node.name)]))
    const constants = new Set(
      nodes.flatMap((node) =>
        results.get(node) ? [...constantsOf(model, own.get(node.name)!)] : constantsOfNode(node),
      ),
    )
    const parts = nodes.map((node) => {
      const between = constantsOfNode(node)[0]
      const shape = results.get(node)?.shape ?? initializers.get(between)?.shape ?? []
      return { name: node.name, op: node.op, shape }
    })
    const found = [...results.values()].filter((result) => result !== undefined)
    return found.length > 0 ? { results: found, constants, parts } : undefined
  }
}

interface Work {
  readonly work: LayerWork | undefined
  /** Share of the weights that is not zero. */
  readonly density: number
}

/** Before and after; undefined where that of one layer cannot be told. */
function compareWork(before: Work, after: readonly Work[]): WorkComparison | undefined {
  const [was, is] = [[before], after].map((all) => {
    let [macs, energyPj] = [0, 0]
    for (const { work, density } of all) {
      if (!work) return undefined
      macs += work.macs
      energyPj += layerEnergy(work, density).energyPj
    }
    return { macs, energyPj }
  })
  return (
    was &&
    is && {
      macsBefore: was.macs,
      macsAfter: is.macs,
      energyPjBefore: was.energyPj,
      energyPjAfter: is.energyPj,
    }
  )
}

/** The share of the weights that is not zero. */
function densityOf(...parts: readonly Float32Array[]): number {
  let [kept, count] = [0, 0]
  for (const values of parts) {
    count += values.length
    for (let i = 0; i < values.length; i++) if (values[i] !== 0) kept++
  }
  return kept / Math.max(1, count)
}

/** The work of all layers together; undefined where that of one is not known, or there are none. */
export function totalWork(all: readonly LayerResult[]): WorkComparison | undefined {
  if (all.length === 0) return undefined
  const total = { macsBefore: 0, macsAfter: 0, energyPjBefore: 0, energyPjAfter: 0 }
  for (const { work } of all) {
    if (!work) return undefined
    for (const key of Object.keys(total) as (keyof WorkComparison)[]) total[key] += work[key]
  }
  return total
}

/**
 * The bytes of each initializer in the pack. Small ones lie in streams that they share; of these each gets its part by
 * its size before coding.
 */
function bytesByTensor(model: Model, pack: Uint8Array): Map<string, number> {
  const result = new Map<string, number>()
  let common = 0
  for (const { tensor, kind, bytes } of describePack(pack).streams)
    if (tensor !== undefined) result.set(tensor, (result.get(tensor) ?? 0) + bytes)
    else if (kind === 'small constants') common += bytes
  const small = [...model.graph.initializers].filter(([name]) => !result.has(name))
  const total = small.reduce((sum, [, tensor]) => sum + byteLength(tensor), 0)
  for (const [name, tensor] of small) result.set(name, total === 0 ? 0 : (common * byteLength(tensor)) / total)
  return result
}
