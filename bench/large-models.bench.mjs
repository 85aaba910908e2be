/**
 * Large models: seconds and peak memory of `compress`, with the recipe weights-only and with magnitude pruning alone, on a
 * generated model of 100 MB, and of loading and of saving one of 500 MB. Each run is a process of its own, started with
 * the options of the command line, and what counts is the median of three. The seconds are those of the work alone, the peak is that of the whole process as the
 * operating system tells it; beside the seconds stand those of the processor, which a busy machine does not lengthen.
 * `--only NAME` measures one row and puts it into the results that are there.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..')
const RUNS = 3

/** A module of the build, as the literal of its URL. */
const built = (path) => JSON.stringify(pathToFileURL(join(root, 'dist', path)).href)

function compressing(...choice) {
  return {
    prepare: `const { run } = await import(${built('cli/run.js')}); const { processIo } = await import(${built('cli/io.js')})`,
    work: `if ((await run(['compress', args[0], ...${JSON.stringify(choice)}, '--output', args[1]], processIo())) !== 0) throw new Error('compress failed')`,
  }
}

/** What each process does: `prepare` is not timed, `work` is. Both see the arguments as `args`. */
const scripts = {
  compress: compressing('--recipe', 'weights-only'),
  prune: compressing('--step', 'magnitude?sparsity=0.9'),
  load: {
    prepare: `const { readModelFile } = await import(${built('formats/onnx/file.js')})`,
    work: 'await readModelFile(args[0])',
  },
  save: {
    prepare: `const { readModelFile, writeModelFile } = await import(${built('formats/onnx/file.js')}); const model = await readModelFile(args[0])`,
    work: 'await writeModelFile(args[1], model)',
  },
}

/** How the command line starts Node, by its first line: variables of the environment, then options. */
function launched() {
  const [first] = readFileSync(join(root, 'dist/cli/main.js'), 'utf8').split('\n', 1)
  const [, variables, flags] = /^#!\/usr\/bin\/env -S ((?:\S+=\S+ )*)node(.*)$/.exec(first)
  const words = (text) => text.split(' ').filter((word) => word !== '')
  return { env: Object.fromEntries(words(variables).map((word) => word.split('='))), flags: words(flags) }
}

/** Runs a script in a fresh process, started as the command line is. */
function measured({ prepare, work }, args) {
  const { env, flags } = launched()
  const script = `const args = process.argv.slice(1)
${prepare}
const start = performance.now()
const before = process.cpuUsage()
${work}
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(before)
process.stdout.write('\\n' + JSON.stringify({ seconds, processorSeconds: (user + system) / 1e6, peak: process.resourceUsage().maxRSS * 1024 }))`
  const options = { encoding: 'utf8', maxBuffer: 2 ** 26, env: { ...process.env, ...env } }
  const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script, ...args], options)
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout.trim().split('\n').at(-1))
}

/** Writes a model of about so many megabytes and returns the length of its file. */
function generate(path, megabytes) {
  const command = [join(folder, 'generate-model.mjs'), path, String(megabytes)]
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' })
  if (status !== 0) throw new Error('the model could not be generated')
  return statSync(path).size
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const rounded = (value, digits) => Number(value.toFixed(digits))

function row(name, bytes, script, args, asked) {
  const runs = Array.from({ length: RUNS }, () => measured(script, args))
  const peak = median(runs.map((run) => run.peak))
  return {
    name,
    megabytes: rounded(bytes / 1e6, 1),
    seconds: rounded(median(runs.map((run) => run.seconds)), 2),
    processorSeconds: rounded(median(runs.map((run) => run.processorSeconds)), 2),
    peakMegabytes: rounded(peak / 1e6, 0),
    timesTheFile: rounded(peak / bytes, 2),
    asked,
    runs: runs.map((run) => ({ seconds: rounded(run.seconds, 2), peakMegabytes: rounded(run.peak / 1e6, 0) })),
  }
}

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined
const temporary = mkdtempSync(join(tmpdir(), 'espalier-bench-'))
const pack = join(temporary, 'hundred.espalier')
const cases = [
  {
    name: 'compress, weights only',
    megabytes: 100,
    script: scripts.compress,
    output: pack,
    asked: { seconds: 40, timesTheFile: 6 },
  },
  {
    name: 'prune by magnitude',
    megabytes: 100,
    script: scripts.prune,
    output: pack,
    asked: { seconds: 30, timesTheFile: 6 },
  },
  { name: 'load', megabytes: 500, script: scripts.load, asked: { seconds: 6 } },
  { name: 'save', megabytes: 500, script: scripts.save, output: join(temporary, 'saved.onnx'), asked: { seconds: 6 } },
]
const rows = []
try {
  const models = new Map()
  for (const { name, megabytes, script, output, asked } of cases) {
    if (only !== undefined && only !== name) continue
    const path = join(temporary, `${megabytes}.onnx`)
    if (!models.has(path)) models.set(path, generate(path, megabytes))
    rows.push(row(name, models.get(path), script, output === undefined ? [path] : [path, output], asked))
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}

console.log('what                     MB     seconds (asked)   peak MB   times the file (asked)')
for (const { name, megabytes, seconds, peakMegabytes, timesTheFile, asked } of rows)
  console.log(
    [
      name.padEnd(22),
      megabytes.toFixed(0).padStart(5),
      `${seconds.toFixed(2).padStart(9)}  (< ${asked.seconds})`.padEnd(19),
      String(peakMegabytes).padStart(9),
      `${timesTheFile.toFixed(2).padStart(8)}${asked.timesTheFile ? `  (< ${asked.timesTheFile})` : ''}`,
    ].join(' '),
  )

const file = join(folder, 'results', 'large-models.json')
const machine = { node: process.version, cpu: cpus()[0].model, cores: cpus().length, load: loadavg()[0], runs: RUNS }
const earlier = only === undefined ? undefined : JSON.parse(readFileSync(file, 'utf8'))
const known = new Map(earlier?.rows.map((one) => [one.name, one]))
for (const one of rows) known.set(one.name, earlier ? { ...one, load: machine.load } : one)
const result = { ...(earlier ?? machine), rows: cases.flatMap(({ name }) => known.get(name) ?? []) }
mkdirSync(join(folder, 'results'), { recursive: true })
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
