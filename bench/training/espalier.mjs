/**
 * Espalier's side of the training benchmark: does steps on command and says how long each took.
 * Usage: espalier.mjs NETWORK THREADS BATCH STEPS_PER_RUN, then a number of steps a line on stdin (a multiple of the
 * steps a run); a JSON line each on stdout.
 */
import { createInterface } from 'node:readline'
import { onnxruntime } from '../../dist/engines/onnxruntime.js'
import { createRandom } from '../../dist/tensor/random.js'
import { elementCount, float32, createTensor } from '../../dist/tensor/tensor.js'
import { trainableParameters } from '../../dist/training/parameters.js'
import { loopStep, STEPS_INPUT } from '../../dist/training/loop.js'
import { buildStep } from '../../dist/training/step.js'
import { int64 } from '../../dist/tensor/tensor.js'
import { lenet5 } from '../../dist/zoo/lenet-5.js'
import { resnet20 } from '../../dist/zoo/resnet.js'

const [network, threads, batchSize, perRun] = process.argv.slice(2).map((value, i) => (i ? Number(value) : value))
const networks = {
  lenet5: { model: () => lenet5({ seed: 1 }), shape: [1, 28, 28] },
  resnet20: { model: () => resnet20({ seed: 1, shortcut: 'projection' }), shape: [3, 32, 32] },
}
const model = networks[network].model()
const block = await onnxruntime.block()
const step = buildStep(model, {
  batchSize,
  parameters: trainableParameters(model),
  settings: { optimizer: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0, loss: 'cross-entropy' },
  threads,
  ...(block === undefined ? {} : { block }),
})
const looped = perRun > 1
const session = await onnxruntime.createSession(looped ? loopStep(step) : step.model, { purpose: 'training', threads })

const random = createRandom(3)
const lead = looped ? [perRun] : []
const repeat = (values) => Array.from({ length: perRun }, () => [...values]).flat()
const shape = [batchSize, ...networks[network].shape]
const images = Float32Array.from({ length: elementCount(shape) }, () => random.normal())
const labels = Int32Array.from({ length: batchSize }, () => random.integer(10))
const feeds = {
  [step.inputs.images]: float32(looped ? Float32Array.from(repeat(images)) : images, [...lead, ...shape]),
  [step.inputs.labels]: createTensor('int32', [...lead, batchSize], Int32Array.from(repeat(labels))),
  [step.inputs.learningRate]: float32(Float32Array.from(repeat([0.01])), lead),
  ...(looped ? { [STEPS_INPUT]: int64([perRun], []) } : {}),
}
for (const { input, initial } of step.state) feeds[input] = initial

async function run() {
  const results = await session.run(feeds)
  for (const { input, output } of step.state) feeds[input] = results[output]
  return results[step.outputs.loss].data.at(-1)
}

for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line)
  const [start, work] = [performance.now(), process.cpuUsage()]
  let loss
  for (let done = 0; done < steps; done += perRun) loss = await run()
  const { user, system } = process.cpuUsage(work)
  const report = {
    seconds: (performance.now() - start) / 1e3 / steps,
    cpuSeconds: (user + system) / 1e6 / steps,
    loss,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }
  console.log(JSON.stringify(report))
}
