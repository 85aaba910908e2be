/**
 * Large models: time and peak memory of `compress --recipe weights-only` on a generated 100 MB model,
 * and of loading and saving a generated 500 MB model, each in a process of its own, median of three.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const temporary = mkdtempSync(join(tmpdir(), 'espalier-bench-'))

/** Runs a script in a fresh process; seconds by its own clock, peak memory by the operating system. */
function measured(script, args) {
  const wrapped = `const started = performance.now(); ${script}; process.stdout.write('\\n' + JSON.stringify({ seconds: (performance.now() - started) / 1000, peak: process.resourceUsage().maxRSS * 1024 }))`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', wrapped, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout.trim().split('\n').at(-1))
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

function generate(path, megabytes) {
  const child = spawnSync(process.execPath, [join(root, 'bench/generate-model.mjs'), path, String(megabytes)], {
    stdio: 'inherit',
  })
  if (child.status !== 0) throw new Error('the model could not be generated')
  return statSync(path).size
}

const rows = []
function record(name, bytes, runs, limitSeconds, limitFactor) {
  const seconds = median(runs.map((run) => run.seconds))
  const peak = median(runs.map((run) => run.peak))
  rows.push({
    name,
    megabytes: bytes / 1e6,
    seconds,
    limitSeconds,
    peakMegabytes: peak / 1e6,
    timesSize: peak / bytes,
    limitFactor,
  })
  console.log(
    `${name}: ${seconds.toFixed(2)} s (asked: under ${limitSeconds}), peak ${(peak / 1e6).toFixed(0)} MB = ${(peak / bytes).toFixed(2)}x the file${limitFactor ? ` (asked: under ${limitFactor}x)` : ''}`,
  )
}

try {
  const hundred = join(temporary, 'hundred.onnx')
  const hundredBytes = generate(hundred, 100)
  const compress = `const { run } = await import('${root}/dist/cli/main.js'); await run(process.argv.slice(1))`
  record(
    'weights-only, 100 MB',
    hundredBytes,
    [1, 2, 3].map(() =>
      measured(compress, ['compress', hundred, '--recipe', 'weights-only', '--out', join(temporary, 'compressed')]),
    ),
    40,
    6,
  )
  rmSync(hundred)

  const large = join(temporary, 'large.onnx')
  const largeBytes = generate(large, 500)
  const load = `const { readModelFile } = await import('${root}/dist/formats/onnx/file.js'); const model = await readModelFile(process.argv[1])`
  record(
    'load, 500 MB',
    largeBytes,
    [1, 2, 3].map(() => measured(load, [large])),
    6,
  )
  const save = `const { readModelFile, writeModelFile } = await import('${root}/dist/formats/onnx/file.js'); const model = await readModelFile(process.argv[1]); globalThis.before = performance.now(); await writeModelFile(process.argv[2], model); process.stdout.write(String((performance.now() - globalThis.before) / 1000))`
  const saves = [1, 2, 3].map(() => {
    const wrapped = measured(`${save}; const offset = globalThis.before`, [large, join(temporary, 'saved.onnx')])
    return wrapped
  })
  record('load and save, 500 MB', largeBytes, saves, 12)
  mkdirSync(join(root, 'bench/results'), { recursive: true })
  writeFileSync(join(root, 'bench/results/large-models.json'), `${JSON.stringify(rows, null, 2)}\n`)
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
