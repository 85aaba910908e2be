/**
 * Large models: seconds and peak memory of `compress --recipe weights-only` on a generated model of 100 MB, and of loading
 * and of saving one of 500 MB. Each run is a process of its own, and what counts is the median of three. The seconds are
 * those of the work alone, the peak is that of the whole process as the operating system tells it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..')
const RUNS = 3

/** A module of the build, as the literal of its URL. */
const built = (path) => JSON.stringify(pathToFileURL(join(root, 'dist', path)).href)

/** What each process does: `prepare` is not timed, `work` is. Both see the arguments as `args`. */
const scripts = {
  compress: {
    prepare: `const { run } = await import(${built('cli/run.js')}); const { processIo } = await import(${built('cli/io.js')})`,
    work: `if ((await run(['compress', args[0], '--recipe', 'weights-only', '--output', args[1]], processIo())) !== 0) throw new Error('compress failed')`,
  },
  load: {
    prepare: `const { readModelFile } = await import(${built('formats/onnx/file.js')})`,
    work: 'await readModelFile(args[0])',
  },
  save: {
    prepare: `const { readModelFile, writeModelFile } = await import(${built('formats/onnx/file.js')}); const model = await readModelFile(args[0])`,
    work: 'await writeModelFile(args[1], model)',
  },
}

/** Runs a script in a fresh process. */
function measured({ prepare, work }, args) {
  const script = `const args = process.argv.slice(1)
${prepare}
const start = performance.now()
${work}
const seconds = (performance.now() - start) / 1000
process.stdout.write('\\n' + JSON.stringify({ seconds, peak: process.resourceUsage().maxRSS * 1024 }))`
  const options = { encoding: 'utf8', maxBuffer: 2 ** 26 }
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, ...args], options)
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
    peakMegabytes: rounded(peak / 1e6, 0),
    timesTheFile: rounded(peak / bytes, 2),
    asked,
    runs: runs.map((run) => ({ seconds: rounded(run.seconds, 2), peakMegabytes: rounded(run.peak / 1e6, 0) })),
  }
}

const temporary = mkdtempSync(join(tmpdir(), 'espalier-bench-'))
const rows = []
try {
  const [hundred, large] = [join(temporary, 'hundred.onnx'), join(temporary, 'large.onnx')]
  const hundredBytes = generate(hundred, 100)
  const pack = join(temporary, 'hundred.espalier')
  rows.push(
    row('compress, weights only', hundredBytes, scripts.compress, [hundred, pack], { seconds: 40, timesTheFile: 6 }),
  )
  const largeBytes = generate(large, 500)
  rows.push(row('load', largeBytes, scripts.load, [large], { seconds: 6 }))
  rows.push(row('save', largeBytes, scripts.save, [large, join(temporary, 'saved.onnx')], { seconds: 6 }))
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

const result = {
  node: process.version,
  cpu: cpus()[0].model,
  cores: cpus().length,
  load: loadavg()[0],
  runs: RUNS,
  rows,
}
mkdirSync(join(folder, 'results'), { recursive: true })
writeFileSync(join(folder, 'results', 'large-models.json'), `${JSON.stringify(result, null, 2)}\n`)
