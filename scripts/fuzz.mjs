/**
 * The long runs of the tests that damage files: `node scripts/fuzz.mjs [pack|onnx] [runs] [seed]`, 10,000 runs if not said.
 * Each target is a test file that reads FUZZ_RUNS and FUZZ_SEED; `npm test` runs a few hundred of each.
 */
import { spawnSync } from 'node:child_process'

const targets = {
  pack: 'test/unit/formats/pack/damage.test.ts',
  onnx: 'test/unit/formats/onnx/damage.test.ts',
}
const [name = 'pack', runs = '10000', seed = '21'] = process.argv.slice(2)
const file = targets[name]
if (!file) {
  console.error(`there is no target '${name}'; choose one of ${Object.keys(targets).join(', ')}`)
  process.exit(2)
}
const env = { ...process.env, FUZZ_RUNS: runs, FUZZ_SEED: seed }
const result = spawnSync('npx', ['vitest', 'run', file, '--testTimeout', '7200000'], { stdio: 'inherit', env })
process.exit(result.status ?? 1)
