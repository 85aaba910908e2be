import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from '../../../src/cli/commands.ts'
import { run } from '../../../src/cli/run.ts'
import { writeModelFile } from '../../../src/formats/onnx/file.ts'
import type { Model } from '../../../src/ir/model.ts'
import { methods } from '../../../src/methods/index.ts'
import type { Sensitivity } from '../../../src/methods/method.ts'
import type { RunReport } from '../../../src/pipelines/result.ts'
import { buildNetwork } from '../../../src/zoo/layers.ts'
import { cli, cliJson, temporaryFolder } from './session.ts'

/** 784 inputs, 16 hidden units, ten classes. */
function tiny(): Model {
  return buildNetwork('tiny', 1, [1, 28, 28], 10, (layers, input) => {
    const hidden = layers.relu(layers.linear(layers.flatten(input), 'fc1', 784, 16, 2))
    return layers.linear(hidden, 'fc2', 16, 10)
  })
}

interface Inspection {
  readonly form: string
  readonly pack: { readonly streams: readonly { readonly bytes: number }[] }
  readonly totals: { readonly energyPj: number }
  readonly layers: readonly { readonly distinct: number; readonly energyPj: number }[]
}

interface Comparison {
  readonly second: { readonly accuracy: number }
  readonly agreement: number
  readonly maxDifference: number
}

interface CatalogEntry {
  readonly name: string
  readonly options: readonly { readonly name: string; readonly description: string }[]
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let model = ''
const data = 'digits?train=200&test=50'

beforeAll(async () => {
  folder = await temporaryFolder()
  model = folder.path('net.onnx')
  await writeModelFile(model, tiny())
})
afterAll(() => folder.remove())

describe('help', () => {
  it('lists the commands and ends with an example', async () => {
    const { code, out } = await cli(['--help'])
    expect(code).toBe(0)
    for (const { name, summary } of commands) {
      expect(out).toContain(name)
      expect(summary).toMatch(/^[A-Z].*\.$/s)
    }
    expect(out).toMatch(/Example:\n {2}espalier /)
  })

  it.each(commands.map(({ name }) => name))('of %s ends with an example of itself', async (name) => {
    const { code, out, err } = await cli([name, '--help'])
    expect([code, err]).toEqual([0, ''])
    expect(out.slice(out.indexOf('Example:'))).toContain(`espalier ${name}`)
    expect(out).toContain('--json')
  })

  it('has a version', async () => {
    expect((await cli(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('errors', () => {
  it.each([
    [['compres'], 2, /error\[usage\].*compres[\s\S]*compress/],
    [['compress'], 2, /missing required argument/],
    [['compress', 'no.onnx'], 2, /error\[file-read\][\s\S]*at no\.onnx/],
    [['train', 'lenet5', '--data', 'digits', '-o', 'MODEL.x'], 2, /Did you mean lenet-5/],
    [['train', 'lenet-5', '--data', 'digits', '-o', 'MODEL.x', '--epochs', 'many'], 2, /--epochs/],
    [['train', 'lenet-5', '--data', 'digits', '-o', '/no/such/folder/x'], 2, /there is no folder/],
    [['train', 'MODEL', '--data', data, '-o', 'MODEL.x', '--loss', 'kullback-leibler'], 2, /at --loss[\s\S]*--teacher/],
    [['train', 'MODEL', '--data', data, '-o', 'MODEL.x', '--teacher', 'MODEL'], 2, /at --teacher[\s\S]*--loss kull/],
    [['train', 'MODEL', '--data', data, '-o', 'MODEL', '--teacher', 'MODEL'], 2, /also read/],
    [['train', 'MODEL', '--data', data, '-o', 'MODEL.x', '--checkpoint', '/no/such/folder/x'], 2, /there is no folder/],
    [['train', 'lenet-5', '--data', 'digits', '-o', 'MODEL.x', '--gradient-bits', '99'], 2, /Give 16 or less/],
    [['train', 'lenet-5', '--data', 'digits', '-o', 'MODEL.x', '--nesterov', 'yes'], 2, /Give true or false/],
    [['train', 'MODEL', '--data', data, '--shift-normalization', '-o', 'MODEL.x'], 2, /normalizes no batches/],
    [['evaluate', 'MODEL', '--data', 'minst:x'], 2, /Did you mean mnist/],
    [['evaluate', 'MODEL', '--data', 'digits', '--batch', '0'], 2, /at least 1/],
    [['evaluate', 'MODEL', '--data', 'digits', '--split', 'all'], 2, /test, validation, train/],
    [['compress', 'MODEL', '--recipe', 'weight-only'], 2, /Did you mean weights-only/],
    [['compress', 'MODEL', '--step', 'huffmann'], 2, /Did you mean 'huffman'/],
    [['compress', 'MODEL', '--step', 'huffman', '--step', 'uniform?bits=99'], 2, /at --step uniform\?bits=99\n/],
    [['compress', 'MODEL', '--step', 'uniform?bits=[', '-o', 'MODEL.x'], 2, /YAML\n\s+at --step uniform\?bits=\[\n/],
    [
      ['compress', 'MODEL', '--step', 'uniform?include=[none]', '-o', 'MODEL.x'],
      2,
      /at --step uniform\?include=\[none\]\n/,
    ],
    [['compress', 'MODEL', '-o', 'MODEL'], 2, /also read/],
    [['compress', 'MODEL', '--recipe', 'weights-only', '--step', 'huffman'], 2, /Give one of the two/],
    [['compress', 'MODEL', '--recipe', 'smallest', '--max-loss', '0.5'], 2, /only be told on data/],
    [['compress', 'MODEL', '--max-loss', '101'], 2, /number from 0 to 100/],
    [['evaluate', 'MODEL', '--data', 'digits?test=1e12'], 2, /at most 1000000/],
    [['catalog', 'hufman'], 2, /Did you mean huffman/],
    [['papers', 'no-such-row'], 2, /no row/],
  ])('%j ends with %i and says what to do', async (argv, expected, message) => {
    const { code, out, err } = await cli(argv.map((word) => word.replace('MODEL', model)))
    expect(err).toMatch(message)
    expect([code, out]).toEqual([expected, ''])
  })

  it('of damaged models and packs end with 5, and name the file', async () => {
    const path = folder.path('damaged.onnx')
    await writeFile(path, (await readFile(model)).subarray(0, 5000))
    const onnx = await cli(['inspect', path])
    expect(onnx.code).toBe(5)
    expect(onnx.err).toContain(path)
    await writeFile(path, 'ESPL and then nothing of use')
    for (const argv of [
      ['inspect', path],
      ['restore', path, '-o', folder.path('x.onnx')],
    ]) {
      const pack = await cli(argv)
      expect(pack.code).toBe(5)
      expect(pack.err).toContain(path)
    }
    expect(await readdir(dirname(model))).not.toContain('x.onnx')
  })

  it.each([
    ['', /the file is empty/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /git lfs pull/],
    ['<!DOCTYPE html><title>404</title>', /web page/],
    ['Dear reader, this is a letter and no model.', /damaged or is not an ONNX model/],
  ])('of files that are no models say what they are: %j', async (content, message) => {
    const path = folder.path('other.onnx')
    await writeFile(path, content)
    const { code, err } = await cli(['inspect', path])
    expect([code, err]).toEqual([5, expect.stringMatching(message)])
  })

  it('of an operator that cannot be trained name its node', async () => {
    const { graph, ...rest } = tiny()
    const path = folder.path('twist.onnx')
    const twist = { name: 'the_twist', op: 'Twist', domain: 'test', attributes: {}, inputs: ['a'], outputs: ['b'] }
    await writeModelFile(path, {
      ...rest,
      opsets: new Map([...rest.opsets, ['test', 1]]),
      graph: {
        ...graph,
        nodes: [
          ...graph.nodes.map((node) => ({
            ...node,
            outputs: node.outputs.map((name) => (name === graph.outputs[0].name ? 'a' : name)),
          })),
          { ...twist, outputs: [graph.outputs[0].name] },
        ],
      },
    })
    const { code, err } = await cli(['train', path, '--data', data, '-o', folder.path('t.onnx')])
    expect([code, err]).toEqual([4, expect.stringContaining("'the_twist'")])
  })

  it('of models that are wrong end with 3, and of what is not supported with 4', async () => {
    const { graph, ...rest } = tiny()
    const hollow = folder.path('hollow.onnx')
    await writeModelFile(hollow, { ...rest, graph: { ...graph, nodes: [] } })
    const inspected = await cliJson<{ problems: unknown[] }>(['inspect', hollow])
    expect([inspected.code, inspected.data.problems.length > 0]).toEqual([3, true])
    const compressed = await cli(['compress', hollow, '-o', folder.path('hollow.espalier')])
    expect([compressed.code, compressed.err]).toEqual([3, expect.stringContaining('error[')])
    const twins = folder.path('twins.onnx')
    await writeModelFile(twins, {
      ...rest,
      graph: { ...graph, inputs: [...graph.inputs, { ...graph.inputs[0], name: 'b' }] },
    })
    const evaluated = await cli(['evaluate', twins, '--data', data])
    expect([evaluated.code, evaluated.err]).toEqual([4, expect.stringContaining('2 inputs')])
  })

  it('come as one JSON document with --json', async () => {
    const { code, data } = await cliJson<unknown>(['evaluate', model, '--data', 'mnist:/no/such/folder'])
    expect(code).toBe(2)
    expect(data).toEqual({
      error: expect.objectContaining({ code: 'data-path', place: '/no/such/folder', exitCode: 2 }) as unknown,
    })
    expect((await cliJson<unknown>(['compress'])).data).toHaveProperty('error.code', 'usage')
  })
})

describe('commands', () => {
  it('end the progress line before they print the result on the same terminal', async () => {
    let screen = ''
    const print = (text: string) => {
      screen += text
    }
    const argv = ['train', model, '--data', data, '-o', folder.path('screen.onnx'), '--epochs', '1']
    const io = {
      stdout: print,
      stderr: print,
      terminal: true,
      columns: 80,
      resultColumns: Number.POSITIVE_INFINITY,
      signal: new AbortController().signal,
    }
    expect(await run(argv, io)).toBe(0)
    expect(screen).toContain('\u001b[2K')
    expect(screen).toMatch(/\nepoch {2}/)
  })

  it('distil: a network that is its own teacher has nothing to learn, another one has', async () => {
    const other = folder.path('other-classes.onnx')
    await writeModelFile(
      other,
      buildNetwork('five', 1, [1, 28, 28], 5, (layers, input) => layers.linear(layers.flatten(input), 'fc', 784, 5)),
    )
    const distil = async (student: string, teacher: string) => {
      const argv = ['train', student, '--data', data, '--epochs', '1', '--learning-rate', '0.001', '--seed', '2']
      const loss = ['--loss', 'kullback-leibler', '--temperature', '2', '--teacher', teacher]
      return cliJson<{ history: { loss: number }[] }>([...argv, ...loss, '-o', folder.path('distilled.onnx')])
    }
    const own = await distil(model, model)
    expect(own.code).toBe(0)
    expect(own.data.history[0].loss).toBeLessThan(1e-6)
    const fresh = await distil('lenet-300-100', model)
    expect(fresh.data.history[0].loss).toBeGreaterThan(1e-2)
    const misfit = await distil(model, other)
    expect([misfit.code, misfit.err]).toEqual([
      2,
      expect.stringMatching(/5 outputs, but the network 10[\s\S]*other-classes/),
    ])
  })

  it('train, compress, inspect, restore, evaluate and compare a network', async () => {
    const trained = folder.path('trained.onnx')
    const training = await cliJson<{ history: unknown[] }>([
      'train',
      model,
      '--data',
      data,
      '--epochs',
      '2',
      '--learning-rate',
      '0.05',
      '-o',
      trained,
    ])
    expect(training.err).toContain('train')
    expect(training.code).toBe(0)
    expect(training.data).toMatchObject({
      network: model,
      settings: { epochs: 2, learningRate: 0.05 },
      test: { count: 50 },
    })
    expect(training.data.history).toHaveLength(2)

    const pack = folder.path('small.espalier')
    const onnx = folder.path('small.onnx')
    const compressed = await cliJson<{ report: RunReport }>([
      'compress',
      trained,
      '--data',
      data,
      '-o',
      pack,
      '--onnx',
      onnx,
      '--no-latency',
    ])
    expect(compressed.code, compressed.err).toBe(0)
    const { report } = compressed.data
    expect(report.proof.every(({ passed }) => passed)).toBe(true)
    expect((await readFile(pack)).length).toBe(report.files.pack)
    expect(await readFile(folder.path('small.report.html'), 'utf8')).toContain('<!doctype html>')

    const restored = folder.path('restored.onnx')
    expect((await cli(['restore', pack, '-o', restored])).code).toBe(0)
    expect((await readFile(restored)).equals(await readFile(onnx))).toBe(true)

    const inspected = await cliJson<Inspection>(['inspect', pack])
    expect(inspected.data.form).toBe('pack')
    const streamBytes = inspected.data.pack.streams.reduce((sum, stream) => sum + stream.bytes, 0)
    expect(streamBytes).toBe(report.files.pack)
    expect(inspected.data.layers[0]).toMatchObject({ op: 'Gemm', macs: 12_544, parameters: 12_560 })
    expect(inspected.data.layers[0].distinct).toBeLessThan(1000)
    expect(inspected.data.totals.energyPj).toBe(inspected.data.layers.reduce((sum, { energyPj }) => sum + energyPj, 0))
    expect((await cli(['inspect', pack])).out).toContain('stream of')

    const evaluated = await cliJson<{ accuracy: number }>(['evaluate', pack, '--data', data])
    expect(evaluated.data.accuracy).toBe(report.accuracy!.after.accuracy)

    const compared = await cliJson<Comparison>(['compare', trained, pack, '--data', data, '--runs', '3'])
    expect(compared.data.second.accuracy).toBe(evaluated.data.accuracy)
    expect(compared.data.agreement).toBeGreaterThan(0.9)
    const made = await cliJson<Comparison>(['compare', onnx, pack, '--runs', '3'])
    expect(made.data.maxDifference).toBe(0)
  })

  it('take steps of their own, and give the same pack for the same seed', async () => {
    const steps = [
      '--step',
      'magnitude?sparsity=0.5&retrain=false',
      '--step',
      'k-means?bits=4&retrain=false',
      '--step',
      'huffman',
    ]
    const packs = []
    for (const name of ['a', 'b']) {
      const pack = folder.path(`${name}.espalier`)
      const { code, err } = await cli(['compress', model, ...steps, '-o', pack, '--no-report', '--no-latency', '-q'])
      expect([code, err]).toEqual([0, ''])
      packs.push(await readFile(pack))
    }
    expect(packs[0].equals(packs[1])).toBe(true)
    expect(await readdir(dirname(model))).not.toContain('a.report.html')
  })

  it('measure how sensitive layers are, with a page, and compress by it', async () => {
    const step = 'filter-l1?maxLoss=100&maxLossSamples=40&retrain=false'
    const report = folder.path('layers.html')
    const measure = ['sensitivity', model, '--step', step, '--data', data, '--report', report]
    const { data: found } = await cliJson<{ sensitivity: Sensitivity }>(measure)
    expect(found.sensitivity).toMatchObject({
      unit: 'ratio',
      parts: 'filters',
      maxLoss: 100,
      curves: [{ layer: 'fc1', size: 16 }],
    })
    expect(found.sensitivity.curves[0].chosen).toBeCloseTo(14 / 16)
    expect(await readFile(report, 'utf8')).toContain('fc1')
    const { code, out } = await cli(['sensitivity', model, '--step', 'magnitude?maxLossSamples=40', '--data', data])
    expect(code).toBe(0)
    expect(out).toMatch(/layer +weights +10 % .*90 %\n/)
    expect(out).toMatch(/^fc1 +12,544 +[\d.]+ %/m)
    const output = folder.path('s.espalier')
    const compress = ['compress', model, '--step', step, '--data', data, '-o', output, '--no-report', '--no-latency']
    const { data: compressed } = await cliJson<{ report: RunReport }>(compress)
    expect(compressed.report.layers[0].shapeAfter).toEqual([2, 784])
    const wrong = await cli(['sensitivity', model, '--step', 'huffman', '--data', data])
    expect(wrong.code).toBe(2)
    expect(wrong.err).toMatch(
      /error\[method-sensitivity\][\s\S]*These remove: .*filter-l1.*These have a precision: .*uniform/,
    )
  })

  it('measure how sensitive layers are to few bits, with a page, and compress by it', async () => {
    const step = 'uniform?maxLoss=60&maxLossSamples=40&retrain=false&include=[fc2]'
    const report = folder.path('bits.html')
    const measure = ['sensitivity', model, '--step', step, '--data', data, '--report', report]
    const { data: found } = await cliJson<{ sensitivity: Sensitivity }>(measure)
    expect(found.sensitivity).toMatchObject({ unit: 'bits', maxLoss: 60, curves: [{ layer: 'fc2' }] })
    expect(found.sensitivity.curves[0].points.map(({ at }) => at)).toEqual([2, 3, 4, 5, 6, 7, 8])
    expect(await readFile(report, 'utf8')).toContain('bits of one layer')
    const { code, out } = await cli(measure.slice(0, -2))
    expect(code).toBe(0)
    expect(out).toMatch(/layer +weights +2 bits .*8 bits +takes\n/)
    const output = folder.path('b.espalier')
    const compress = ['compress', model, '--step', step, '--data', data, '-o', output, '--no-report', '--no-latency']
    const { data: compressed } = await cliJson<{ report: RunReport }>(compress)
    expect(compressed.report.stages[0].sensitivity).toEqual(found.sensitivity)
    const fixed = await cli(['sensitivity', model, '--step', 'binary-connect', '--data', data])
    expect([fixed.code, fixed.err]).toEqual([2, expect.stringContaining("'binary-connect' neither removes")])
    const range = await cli(['sensitivity', model, '--step', 'uniform?bits=9', '--data', data])
    expect([range.code, range.err]).toEqual([2, expect.stringContaining('bits')])
  })

  it('say so where there is nothing to compress', async () => {
    const { graph, ...rest } = tiny()
    const path = folder.path('bare.onnx')
    const relu = {
      name: 'relu',
      op: 'Relu',
      domain: '',
      attributes: {},
      inputs: [graph.inputs[0].name],
      outputs: ['y'],
    }
    await writeModelFile(path, {
      ...rest,
      graph: { ...graph, nodes: [relu], outputs: [{ name: 'y' }], initializers: new Map() },
    })
    const { code, out } = await cli([
      'compress',
      path,
      '--no-report',
      '--no-latency',
      '-o',
      folder.path('bare.espalier'),
    ])
    expect(code).toBe(0)
    expect(out).toContain('There was nothing to compress')
    expect(out).not.toContain('0.00x')
  })

  it('go on from finished steps', async () => {
    const argv = [
      'compress',
      model,
      '-o',
      folder.path('r.espalier'),
      '--no-report',
      '--no-latency',
      '--resume',
      folder.path('work'),
    ]
    expect((await cli(argv)).code).toBe(0)
    expect(await readdir(folder.path('work'))).toEqual([])
  })

  it('stop with 130 and leave nothing half-written', async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 300)
    const output = folder.path('never.onnx')
    const argv = ['train', model, '--data', data, '--epochs', '100000', '-o', output]
    const { code, err } = await cli(argv, controller.signal)
    expect(code).toBe(130)
    expect(err).toContain('error[aborted]')
    expect((await readdir(dirname(model))).filter((name) => name.includes('never'))).toEqual([])
  })

  it('catalogue everything that is registered, with options', async () => {
    const { data } = await cliJson<{ methods: CatalogEntry[] }>(['catalog'])
    expect(data.methods.map(({ name }) => name)).toEqual([...methods.keys()])
    for (const entry of data.methods)
      for (const option of entry.options) expect(option.description, `${entry.name} ${option.name}`).not.toBe('')
    for (const name of ['data', 'recipes', 'networks', 'codecs', 'operators', 'k-means']) {
      const { code, out } = await cli(['catalog', name])
      expect([code, out.length > 100]).toEqual([0, true])
    }
  })

  it('catalogue the bounds of numbers', async () => {
    const { out } = await cli(['catalog', 'uniform'])
    expect(out).toMatch(/bits +integer 2 to 8 /)
    expect(out).toMatch(/averageBits +number 1 to 16 /)
    expect((await cli(['catalog', 'trained-ternary-quantization'])).out).toMatch(/sparsity +number 0 or more, below 1 /)
  })

  it('list the experiments without running them', async () => {
    const { code, data } = await cliJson<unknown>(['papers', '--list'])
    expect(code).toBe(0)
    expect(Array.isArray(data)).toBe(true)
  })
})
