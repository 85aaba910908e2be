/** Measures what decompositions of layers cost before any training: errors of outputs and accuracy against bits. */
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { subset, type DataSplits } from '../../datasets/dataset.ts'
import type { Engine } from '../../engines/engine.ts'
import { writeFileAtomic } from '../../formats/files.ts'
import { writePack } from '../../formats/pack/write.ts'
import type { Model } from '../../ir/model.ts'
import { layers } from '../../ir/rewrite.ts'
import { layerKind } from '../../methods/layer-choice.ts'
import type { ProgressListener } from '../../progress.ts'
import { evaluate } from '../../training/evaluate.ts'
import { decompositionFigure } from './figure.ts'
import { bitsOfLayer, outputErrors } from './measure.ts'
import { decompositionPage } from './page.ts'
import {
  formatDecompositionResults,
  parseDecompositionResults,
  type DecompositionEntry,
  type DecompositionResults,
} from './results.ts'
import type { Variant } from './variants.ts'

/** A network whose convolutions are decomposed. */
export interface DecompositionNetwork {
  readonly name: string
  /** What it is and what it is measured on, in full sentences. */
  readonly about: string
  /** Files below the shared data folder. */
  readonly needs: readonly string[]
  /** Validation examples that outputs of layers are compared on. */
  readonly examples: number
  /** Test examples that accuracy is measured on. */
  readonly tests: number
  prepare(path: (name: string) => string): Promise<{ readonly data: DataSplits; readonly model: Model }>
}

export interface DecompositionOptions {
  readonly network: DecompositionNetwork
  readonly variants: readonly Variant[]
  readonly engine: Engine
  /** The folder with the data sets and the pretrained models. */
  readonly data: string
  /** The folder of decompositions.md and decompositions/. */
  readonly docs: string
  /** Writes the page from the results that are there, and measures nothing. */
  readonly pageOnly?: boolean | undefined
  readonly progress?: ProgressListener
  readonly signal?: AbortSignal
  /** Told about every step that is done. */
  note?(text: string): void
}

/**
 * Measures what has no result yet: what needs no data first, then fewest bits first. Each result is written as soon as
 * it is there, and with it the page and its figure.
 */
export async function runDecompositions(options: DecompositionOptions): Promise<DecompositionResults | undefined> {
  const { network, docs } = options
  const folder = join(docs, 'decompositions')
  const file = join(folder, `${network.name}.json`)
  await mkdir(folder, { recursive: true })
  const known = existsSync(file) ? parseDecompositionResults(await readFile(file, 'utf8'), file) : undefined
  const save = async (results: DecompositionResults) => {
    await writeText(file, formatDecompositionResults(results))
    await writeText(join(folder, `${network.name}.svg`), decompositionFigure(results, options.variants))
    await writeText(join(docs, 'decompositions.md'), decompositionPage(network, results, options.variants))
  }
  if (!options.pageOnly && hasData(options)) return measureMissing(options, known, save)
  if (known) await save(known)
  return known
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, new TextEncoder().encode(text))
}

function hasData({ network: { name, needs }, data, note }: DecompositionOptions): boolean {
  const missing = needs.filter((need) => !existsSync(join(data, need)))
  if (missing.length > 0) note?.(`${name}: skipped, ${missing.join(' and ')} not found under ${data}`)
  return missing.length === 0
}

async function measureMissing(
  options: DecompositionOptions,
  known: DecompositionResults | undefined,
  save: (results: DecompositionResults) => Promise<void>,
): Promise<DecompositionResults> {
  const { network, engine, signal } = options
  const missing = options.variants
    .flatMap((variant) => variant.bits.map((bits) => ({ variant, bits })))
    .filter(
      ({ variant, bits }) => !known?.entries.some((entry) => entry.variant === variant.name && entry.bits === bits),
    )
    .sort((a, b) => Number(a.variant.byData ?? 0) - Number(b.variant.byData ?? 0) || a.bits - b.bits)
  if (known && missing.length === 0) {
    await save(known)
    return known
  }
  const { data, model } = await network.prepare((name) => resolve(options.data, name))
  const test = subset(
    data.test,
    Uint32Array.from({ length: Math.min(network.tests, data.test.size) }, (_, i) => i),
  )
  const start = known ?? {
    network: network.name,
    accuracy: (await evaluate(model, test, engine, { signal })).accuracy,
    layers: convolutionsOf(model).map(({ name, weight }) => ({
      name,
      shape: [...model.graph.initializers.get(weight)!.shape],
    })),
    entries: [],
  }
  const entries = [...start.entries]
  const current = () => ({ ...start, entries: sorted(entries, options.variants) })
  for (const { variant, bits } of missing) {
    const entry = await measure(variant, bits, model, { ...data, test }, options)
    entries.push(entry)
    await save(current())
    options.note?.(`${variant.name}, ${bits} bits: accuracy ${entry.accuracy}`)
  }
  return current()
}

const convolutionsOf = (model: Model) => layers(model).filter((layer) => layerKind(layer) === 'conv')

function sorted(entries: readonly DecompositionEntry[], variants: readonly Variant[]): DecompositionEntry[] {
  const order = new Map(variants.map(({ name }, i) => [name, i]))
  return entries.toSorted((a, b) => order.get(a.variant)! - order.get(b.variant)! || a.bits - b.bits)
}

async function measure(
  variant: Variant,
  bits: number,
  model: Model,
  data: DataSplits,
  { network, engine, signal, progress }: DecompositionOptions,
): Promise<DecompositionEntry> {
  const { method } = variant
  const options = method.options.parse({ ...variant.options(bits), include: [':conv'] })
  const context = { seed: 1, engine, signal, progress, ...(variant.byData ? { data } : {}), skip: () => {} }
  const changed = await method.apply(model, options, context)
  const errors = await outputErrors(model, changed, data.validation, network.examples, { engine, signal })
  const { accuracy } = await evaluate(changed, data.test, engine, { signal })
  return {
    variant: variant.name,
    bits,
    layers: convolutionsOf(model).map((layer) => {
      const taken = bitsOfLayer(model, changed, layer, variant.codeBits(bits))
      return { name: layer.name, ...(taken === undefined ? {} : { bits: taken }), error: errors.get(layer.name)! }
    }),
    accuracy,
    pack: writePack(changed).length,
  }
}
