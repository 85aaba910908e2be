/**
 * Training steps against PyTorch on the CPU: forward pass, loss, backward pass and update with momentum of LeNet-5 (64
 * digits) and ResNet-20 (128 images), with one and two threads. The two take turns within one run, and what counts is
 * the ratio of the medians of wall time. The ratio of processor time is printed beside it: with one thread it is what a
 * busy machine leaves of the truth. PyTorch is installed by peers/install.sh, from Debian; without it ours runs alone.
 * `--rounds N` sets how often they take turns (default 9).
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const rounds = Number(process.argv[process.argv.indexOf('--rounds') + 1]) || 9

const cases = [
  { network: 'lenet5', batch: 64, threads: 1, perRun: 10, steps: 20, asked: 1 },
  { network: 'lenet5', batch: 64, threads: 2, perRun: 10, steps: 20, asked: 0.8 },
  { network: 'resnet20', batch: 128, threads: 1, perRun: 1, steps: 2, asked: 0.72 },
  { network: 'resnet20', batch: 128, threads: 2, perRun: 1, steps: 2, asked: 0.6 },
]

/** A process that does steps when told how many. */
function worker(command, args) {
  const child = spawn(command, args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async steps(count) {
      child.stdin.write(`${count}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${command} ${args.join(' ')} ended early`)
      return JSON.parse(value)
    },
    close: () => child.stdin.end(),
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const spread = (values) => (Math.max(...values) - Math.min(...values)) / median(values)

async function measure({ network, batch, threads, perRun, steps, asked }, hasTorch) {
  const sides = {
    ours: worker(process.execPath, [join(folder, 'training/espalier.mjs'), network, threads, batch, perRun]),
    ...(hasTorch && {
      torch: worker('/usr/bin/python3', [join(folder, 'peers/training.py'), network, threads, batch]),
    }),
  }
  const runs = Object.fromEntries(Object.keys(sides).map((side) => [side, []]))
  for (const side of Object.values(sides)) await side.steps(steps)
  for (let round = 0; round < rounds; round++)
    for (const [name, side] of Object.entries(sides)) runs[name].push(await side.steps(steps))
  for (const side of Object.values(sides)) side.close()
  const of = (name, key) => runs[name]?.map((run) => run[key])
  const ratio = (key) => (hasTorch ? median(of('torch', key)) / median(of('ours', key)) : undefined)
  return {
    network,
    batch,
    threads,
    asked,
    ratio: ratio('seconds'),
    cpuRatio: ratio('cpuSeconds'),
    oursMs: median(of('ours', 'seconds')) * 1e3,
    torchMs: hasTorch ? median(of('torch', 'seconds')) * 1e3 : undefined,
    oursSpread: spread(of('ours', 'seconds')),
    torchSpread: hasTorch ? spread(of('torch', 'seconds')) : undefined,
    imagesPerSecond: batch / median(of('ours', 'seconds')),
    oursPeakMegabytes: Math.max(...of('ours', 'peakBytes')) / 1e6,
    torchPeakMegabytes: hasTorch ? Math.max(...of('torch', 'peakBytes')) / 1e6 : undefined,
    torch: runs.torch?.[0].torch,
  }
}

const hasTorch = spawnSync(join(folder, 'peers/install.sh'), { stdio: 'inherit' }).status === 0
if (!hasTorch) console.error('PyTorch could not be installed: ours is measured alone.')
const rows = []
const number = (value, digits) => (value === undefined ? '-' : value.toFixed(digits)).padStart(9)
console.log(`${cpus().length} cores of ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}, ${rounds} rounds`)
console.log(
  'network    threads    ours ms  torch ms   ratio   asked  by CPU time  images/s  peak MB  spread ours, torch',
)
for (const one of cases) {
  const row = await measure(one, hasTorch)
  rows.push(row)
  console.log(
    `${row.network.padEnd(10)} ${row.threads}T ${number(row.oursMs, 1)}  ${number(row.torchMs, 1)} ${number(row.ratio, 2)} ${number(row.asked, 2)} ${number(row.cpuRatio, 2)}  ${number(row.imagesPerSecond, 0)} ${number(row.oursPeakMegabytes, 0)}   ${number(row.oursSpread, 2)} ${number(row.torchSpread, 2)}`,
  )
}
mkdirSync(join(folder, 'results'), { recursive: true })
writeFileSync(
  join(folder, 'results/training.json'),
  `${JSON.stringify({ date: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, load: loadavg(), rounds, rows }, null, 2)}\n`,
)
