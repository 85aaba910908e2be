/** Compares the criteria by which filters are removed: each one on each network, beside the oracle and beside chance. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { DataSplits } from '../../datasets/dataset.ts'
import type { Engine } from '../../engines/engine.ts'
import { EspalierError, UsageError } from '../../errors.ts'
import { writeFileAtomic } from '../../formats/files.ts'
import { readModel } from '../../formats/onnx/read.ts'
import { writeModel } from '../../formats/onnx/write.ts'
import { channelGroups } from '../../ir/channel-groups.ts'
import type { Model } from '../../ir/model.ts'
import type { Context, Method } from '../../methods/method.ts'
import { leaveOneOut, oracle as oracleMethod } from '../../methods/pruning/filters/oracle.ts'
import type { ProgressListener } from '../../progress.ts'
import { evaluate } from '../../training/evaluate.ts'
import { trainingSettings } from '../../training/settings.ts'
import { train } from '../../training/train.ts'
import { folderStore } from '../harness.ts'
import type { RowStore } from '../row.ts'
import { agreement, macsRemoved, optionsFor, pruneBy, type ChannelScores } from './measure.ts'
import { macsShares, type BenchNetwork } from './networks.ts'
import { criteriaPage } from './page.ts'
import { formatCriteriaResults, parseCriteriaResults, type CriteriaResults, type CriterionEntry } from './results.ts'

export interface CriteriaOptions {
  readonly networks: readonly BenchNetwork[]
  /** The methods to compare: those that remove filters. */
  readonly criteria: readonly Method[]
  readonly engine: Engine
  /** The folder with the data sets and the pretrained models. */
  readonly data: string
  /** The folder of criteria.md and criteria/*.json. */
  readonly docs: string
  /** Where trained and pruned networks and the oracle's answers are kept. */
  readonly cache: string
  /** Writes the page from the results that are there, and measures nothing. */
  readonly pageOnly?: boolean | undefined
  readonly progress?: ProgressListener
  readonly signal?: AbortSignal
  /** Told about every step that is done. */
  note?(text: string): void
}

/**
 * Measures what has not been measured yet, writes each result as soon as it is there, and then the page. First come all
 * correlations and accuracies without retraining, then retraining at each share of the macs, the largest first; so a run
 * that is stopped early has compared all criteria in something.
 */
export async function runCriteria(options: CriteriaOptions): Promise<ReadonlyMap<string, CriteriaResults>> {
  const results = await readCriteria(options.docs)
  const networks = options.pageOnly ? [] : options.networks.filter((network) => hasData(network, options))
  for (const network of networks)
    for (const seed of network.seeds) await measureAll(await createBench(network, seed, options, results))
  for (const share of [...macsShares].sort((a, b) => b - a))
    for (const network of networks)
      for (const seed of network.seeds) await retrainAll(await createBench(network, seed, options, results), share)
  const page = criteriaPage(options.networks, options.criteria, results)
  await writeText(join(options.docs, 'criteria.md'), page)
  return results
}

/** The results under a folder of documents, by network. */
export async function readCriteria(docs: string): Promise<Map<string, CriteriaResults>> {
  const folder = join(docs, 'criteria')
  await mkdir(folder, { recursive: true })
  const results = new Map<string, CriteriaResults>()
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json'))) {
    const parsed = parseCriteriaResults(await readFile(join(folder, file), 'utf8'), join(folder, file))
    results.set(parsed.network, parsed)
  }
  return results
}

function hasData({ name, needs }: BenchNetwork, { data, note }: CriteriaOptions): boolean {
  const missing = needs.filter((need) => !existsSync(join(data, need)))
  if (missing.length > 0) note?.(`${name}: skipped, ${missing.join(' and ')} not found under ${data}`)
  return missing.length === 0
}

/** One network with one seed. */
interface Bench {
  readonly network: BenchNetwork
  readonly seed: number
  readonly options: CriteriaOptions
  readonly store: RowStore
  readonly data: DataSplits
  readonly model: Model
  readonly context: Context
  readonly results: () => CriteriaResults
  save(change: Partial<CriteriaResults>): Promise<void>
}

async function createBench(
  network: BenchNetwork,
  seed: number,
  options: CriteriaOptions,
  all: Map<string, CriteriaResults>,
): Promise<Bench> {
  const { engine, signal, progress, docs } = options
  const store = folderStore(resolve(options.cache, network.name, String(seed)))
  const path = (name: string) => resolve(options.data, name)
  const { data, model } = await network.prepare({ seed, engine, path, store, shared: store, signal, progress })
  const results = () => all.get(network.name) ?? { network: network.name, original: [], entries: [] }
  const bench: Bench = {
    network,
    seed,
    options,
    store,
    data,
    model,
    results,
    context: {
      seed,
      engine,
      signal,
      progress,
      original: model,
      data: { train: data.train, validation: data.validation },
      skip: () => {},
    },
    async save(change) {
      const changed = { ...results(), ...change }
      all.set(network.name, changed)
      await writeText(join(docs, 'criteria', `${network.name}.json`), formatCriteriaResults(changed))
    },
  }
  if (!results().original.some((known) => known.seed === seed)) {
    const { accuracy } = await evaluate(model, data.test, engine, { signal })
    await bench.save({ original: [...results().original, { seed, accuracy }] })
  }
  return bench
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, new TextEncoder().encode(text))
}

const entryOf = ({ results, seed }: Bench, criterion: string) =>
  results().entries.find((entry) => entry.criterion === criterion && entry.seed === seed)

async function saveEntry({ results, save }: Bench, entry: CriterionEntry): Promise<void> {
  const others = results().entries.filter(({ criterion, seed }) => criterion !== entry.criterion || seed !== entry.seed)
  const entries = [...others, entry].sort((a, b) =>
    a.criterion < b.criterion ? -1 : a.criterion > b.criterion ? 1 : a.seed - b.seed,
  )
  await save({ entries })
}

/** Correlation with the oracle, and accuracy without retraining, of every criterion that has none yet. */
async function measureAll(bench: Bench): Promise<void> {
  const { network, seed, options } = bench
  const missing = options.criteria.filter(({ name }) => !entryOf(bench, name))
  if (missing.length === 0) return
  const oracle = await oracleOf(bench)
  for (const method of missing) {
    const entry = await measure(bench, method, oracle)
    await saveEntry(bench, entry)
    const { reason, spearman, pruned } = entry
    options.note?.(`${network.name}, seed ${seed}, ${method.name}: ${JSON.stringify(reason ?? { spearman, pruned })}`)
  }
}

/** What every channel is worth when it alone is missing, in nats; measured once. */
async function oracleOf({ network, model, context, store }: Bench): Promise<ChannelScores> {
  const known = await store.read('oracle.json')
  if (known) {
    const entries = JSON.parse(new TextDecoder().decode(known)) as [string, number[]][]
    return new Map(entries.map(([id, values]) => [id, Float64Array.from(values)]))
  }
  const groups = channelGroups(model).filter(({ reason, producers }) => reason === undefined && producers.length > 0)
  const changes = await leaveOneOut(model, groups, network.oracleSamples, context)
  const oracle = new Map(Array.from(changes, ([id, values]) => [id, values.map(Math.abs)]))
  const text = JSON.stringify(Array.from(oracle, ([id, values]) => [id, [...values]]))
  await store.write('oracle.json', new TextEncoder().encode(text))
  return oracle
}

async function measure(bench: Bench, method: Method, oracle: ChannelScores): Promise<CriterionEntry> {
  const { seed, model, data, context, store, options } = bench
  const entry = { criterion: method.name, seed }
  try {
    const scores =
      method.name === oracleMethod.name ? oracle : await method.scores?.(model, optionsFor(method, 0), context)
    const pruned: CriterionEntry['pruned'] = []
    for (const macs of macsShares) {
      const cut = await pruneBy(method, scores, model, macs, context)
      await store.write(cutName(method.name, macs), writeModel(cut))
      const { accuracy } = await evaluate(cut, data.test, options.engine, { signal: options.signal })
      pruned.push({ macs, removed: macsRemoved(model, cut), accuracy })
    }
    return { ...entry, ...(scores ? { spearman: agreement(scores, oracle) } : {}), pruned }
  } catch (error) {
    // What does not fit the network says so; whatever else goes wrong ends the run.
    if (!(error instanceof EspalierError) || error.code === 'aborted') throw error
    return { ...entry, reason: error.message, pruned: [] }
  }
}

const cutName = (criterion: string, macs: number) => `${criterion} ${macs}.onnx`

/** Retrains every network that a criterion has pruned by this share and that has not been retrained yet. */
async function retrainAll(bench: Bench, macs: number): Promise<void> {
  const { network, seed, options, store, data } = bench
  for (const method of options.criteria) {
    const entry = entryOf(bench, method.name)
    const pruned = entry?.pruned.find((each) => each.macs === macs)
    if (!entry || !pruned || pruned.retrained !== undefined) continue
    const cut = await store.read(cutName(method.name, macs))
    if (!cut)
      throw new UsageError('criteria-cache', `the network that '${method.name}' pruned is not in the cache any more`, {
        place: `${network.name}, seed ${seed}`,
        hint: 'Take the entry out of docs/criteria, so that it is measured anew.',
      })
    const { model } = await train(readModel(cut), {
      data: data.train,
      engine: options.engine,
      seed,
      signal: options.signal,
      progress: options.progress,
      settings: trainingSettings.parse(network.retrain),
    })
    const { accuracy: retrained } = await evaluate(model, data.test, options.engine, { signal: options.signal })
    const list = entry.pruned.map((each) => (each === pruned ? { ...each, retrained } : each))
    await saveEntry(bench, { ...entry, pruned: list })
    options.note?.(`${network.name}, seed ${seed}, ${method.name}: -${100 * macs} % macs, retrained ${retrained}`)
  }
}
