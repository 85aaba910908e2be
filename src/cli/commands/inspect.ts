import { readModelFile } from '../../formats/onnx/file.ts'
import { layerEnergy } from '../../hardware/energy.ts'
import { layerWork } from '../../hardware/layer-work.ts'
import { operatorKey, type Model, type ValueInfo } from '../../ir/model.ts'
import { layers } from '../../ir/rewrite.ts'
import { verify } from '../../ir/verify.ts'
import { describePack } from '../../formats/pack/describe.ts'
import { constantsOf } from '../../methods/weights.ts'
import { denseLayers } from '../../pipelines/dense.ts'
import { byteLength, elementCount } from '../../tensor/tensor.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { defineCommand } from '../command.ts'
import { addSourceOptions, loadSource, type SourceOptions } from '../foreign.ts'
import { formatBytes, formatCount, formatMicrojoules, formatPercent } from '../format.ts'
import { wholeNumber } from '../numbers.ts'
import { formatFacts, formatTable, left, names, right } from '../table.ts'
import { visible } from '../visible.ts'

interface LayerFacts {
  readonly name: string
  readonly op: string
  readonly shape: readonly number[]
  readonly parameters: number
  readonly macs?: number
  /** Picojoules for one example, estimated for 45 nm. */
  readonly energyPj?: number
  readonly density: number
  /** Different values among the weights, zero included; counted up to 65,536. */
  readonly distinct: number
  /** Bits a weight of what the file stores for it, codes and codebook, before any entropy coding. */
  readonly bits: number
  readonly bytes: number
}

/** Looks at a model without running it. */
export const inspect = defineCommand<SourceOptions & { streams: number }>({
  name: 'inspect',
  summary: 'Shows what a model or a pack is made of: layers, operators, sizes, and what is wrong with it.',
  examples: [
    ['espalier inspect model.onnx', 'lists the layers with their work, density and bits'],
    ['espalier inspect model.espalier', 'also says where the bytes of the pack are'],
  ],
  configure(command) {
    command.argument('<model>', 'an .onnx or .espalier file, or another with --from')
    addSourceOptions(command)
    command.option('--streams <n>', 'streams of a pack to list, the largest first', wholeNumber(0), 20)
  },
  async execute([path], options, context) {
    const { model, fileBytes, pack } = await loadSource(path, options, context)
    const problems = verify(model)
    const facts = problems.length === 0 ? layerFacts(model) : []
    const operators = countOperators(model)
    const description = pack && describePack(pack)
    const parameters = [...model.graph.initializers.values()].filter(({ dtype }) => dtypes[dtype].kind === 'float')
    const totals = {
      parameters: parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      parameterBytes: parameters.reduce((sum, tensor) => sum + byteLength(tensor), 0),
      initializerBytes: [...model.graph.initializers.values()].reduce((sum, tensor) => sum + byteLength(tensor), 0),
      layerParameters: facts.reduce((sum, layer) => sum + layer.parameters, 0),
      macs: totalOf(facts.map(({ macs }) => macs)),
      energyPj: totalOf(facts.map(({ energyPj }) => energyPj)),
    }
    const opset = opsetsOf(pack || options.from !== undefined ? model : await readModelFile(path, { keepOpset: true }))
    const raised = opsetsOf(model)
    const fed = model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name))
    const blocks = [
      formatFacts([
        [
          'file',
          `${path}, ${formatCount(fileBytes)} B${description ? `, a pack of ${formatCount(description.modelBytes)} B of ONNX (${(description.modelBytes / fileBytes).toFixed(1)}x)` : ''}`,
        ],
        [
          'opset',
          Object.entries(opset)
            .map(
              ([domain, version]) =>
                `${domain} ${version}${raised[domain] === version ? '' : ` (raised to ${raised[domain]} when read)`}`,
            )
            .join(', '),
        ],
        ...(model.producerName
          ? [['producer', `${model.producerName} ${model.producerVersion ?? ''}`.trim()] as const]
          : []),
        ['inputs', fed.map(formatValue).join(', ')],
        ['outputs', model.graph.outputs.map(formatValue).join(', ')],
        [
          'nodes',
          `${formatCount(model.graph.nodes.length)}: ${operators.map(({ op, count }) => `${count} ${op}`).join(', ')}`,
        ],
        [
          'parameters',
          `${formatCount(totals.parameters)} floats, ${formatBytes(totals.parameterBytes)}; all tensors ${formatBytes(totals.initializerBytes)}`,
        ],
        [
          'work',
          totals.macs === undefined || totals.energyPj === undefined
            ? 'unknown: some shapes cannot be told'
            : `${formatCount(totals.macs)} macs in the layers, for one example; ${formatMicrojoules(totals.energyPj)}, estimated for 45 nm`,
        ],
        ['problems', problems.length === 0 ? 'none' : String(problems.length)],
      ]),
      problems
        .map(
          ({ code, message, place, hint }) =>
            `error[${code}]: ${visible(message)}\n  at ${visible(place)}\n${hint ? `  hint: ${visible(hint)}\n` : ''}`,
        )
        .join(''),
      facts.length > 0 ? formatLayers(facts) : '',
      description ? formatStreams(description, options.streams) : '',
    ]
    return {
      data: {
        file: path,
        fileBytes,
        form: options.from ?? (pack ? 'pack' : 'onnx'),
        irVersion: model.irVersion,
        opset,
        producer: model.producerName,
        inputs: fed.map(valueFacts),
        outputs: model.graph.outputs.map(valueFacts),
        metadata: Object.fromEntries(model.metadata),
        operators,
        totals,
        layers: facts,
        problems,
        pack: description,
      },
      text: blocks.filter((block) => block !== '').join('\n'),
      exitCode: problems.length > 0 ? 3 : 0,
    }
  },
})

function layerFacts(model: Model): LayerFacts[] {
  const work = layerWork(model)
  const stored = new Map(layers(model).map((layer) => [layer.name, layer]))
  const { initializers } = model.graph
  return Array.from(denseLayers(model), ({ layer, values, shape, bytes }) => {
    const own = stored.get(layer.name)
    const stores = own ? [...constantsOf(model, own)].map((name) => initializers.get(name)) : []
    const storedBytes = own ? stores.reduce((sum, tensor) => sum + (tensor ? byteLength(tensor) : 0), 0) : bytes
    const bias = layer.bias ? elementCount(initializers.get(layer.bias)?.shape ?? [0]) : 0
    let kept = 0
    const distinct = new Set<number>()
    for (const value of values) {
      if (value !== 0) kept++
      if (distinct.size < 65_536) distinct.add(value)
    }
    const density = kept / Math.max(1, values.length)
    const takes = work.get(layer.name)
    return {
      name: layer.name,
      op: layer.node.op,
      shape,
      parameters: values.length + bias,
      macs: takes?.macs,
      energyPj: takes && layerEnergy(takes, density).energyPj,
      density,
      distinct: distinct.size,
      bits: (storedBytes * 8) / Math.max(1, values.length),
      bytes: storedBytes,
    }
  })
}

/** The sum; undefined where a part of it is not known. */
function totalOf(parts: readonly (number | undefined)[]): number | undefined {
  return parts.reduce(
    (sum: number | undefined, part) => (sum === undefined || part === undefined ? undefined : sum + part),
    0,
  )
}

function opsetsOf(model: Model): Record<string, number> {
  return Object.fromEntries([...model.opsets].map(([domain, version]) => [domain || 'ai.onnx', version]))
}

function countOperators(model: Model): { op: string; count: number }[] {
  const counts = new Map<string, number>()
  for (const node of model.graph.nodes) counts.set(operatorKey(node), (counts.get(operatorKey(node)) ?? 0) + 1)
  return [...counts].map(([op, count]) => ({ op, count })).sort((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1))
}

function valueFacts({ name, type }: ValueInfo) {
  return { name, dtype: type?.dtype, shape: type?.shape }
}

function formatValue({ name, type }: ValueInfo): string {
  return type
    ? `${name} ${type.dtype}${type.shape ? `[${type.shape.map((size) => size ?? '?').join(', ')}]` : ''}`
    : name
}

function formatLayers(facts: readonly LayerFacts[]): string {
  return formatTable(
    [
      names('layer'),
      left('op'),
      left('shape'),
      right('parameters'),
      right('macs'),
      right('energy'),
      right('density'),
      right('distinct'),
      right('bits'),
      right('bytes'),
    ],
    facts.map((layer) => [
      layer.name,
      layer.op,
      layer.shape.join('x'),
      formatCount(layer.parameters),
      layer.macs === undefined ? '?' : formatCount(layer.macs),
      layer.energyPj === undefined ? '?' : formatMicrojoules(layer.energyPj),
      formatPercent(layer.density, 1),
      layer.distinct >= 65_536 ? '65,536+' : formatCount(layer.distinct),
      layer.bits.toFixed(2),
      formatCount(layer.bytes),
    ]),
  )
}

function formatStreams({ streams, fileBytes }: ReturnType<typeof describePack>, most: number): string {
  const sorted = [...streams].sort((a, b) => b.bytes - a.bytes)
  const rows = sorted
    .slice(0, most)
    .map(({ tensor, kind, codec, elements, bytes }) => [
      tensor ?? '-',
      kind,
      codec ?? '-',
      formatCount(elements),
      formatCount(bytes),
      formatPercent(bytes / fileBytes, 1),
      codec && elements > 0 ? ((bytes * 8) / elements).toFixed(3) : '-',
    ])
  const rest = sorted.slice(most).reduce((sum, { bytes }) => sum + bytes, 0)
  if (rest > 0)
    rows.push([`${sorted.length - most} more`, '', '', '', formatCount(rest), formatPercent(rest / fileBytes, 1), ''])
  return formatTable(
    [
      names('stream of'),
      left('holds'),
      left('codec'),
      right('symbols'),
      right('bytes'),
      right('share'),
      right('bits a symbol'),
    ],
    rows,
  )
}
