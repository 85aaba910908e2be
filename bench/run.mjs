/** Runs the benchmarks, one after the other: `npm run bench` for all, `npm run bench -- large-models` for one. */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const all = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.mjs'))
  .map((file) => file.replace('.bench.mjs', ''))
const wanted = process.argv.slice(2).length ? process.argv.slice(2) : all
for (const name of wanted) {
  if (!all.includes(name)) {
    console.error(`there is no benchmark '${name}'; there are: ${all.join(', ')}`)
    process.exit(2)
  }
  console.log(`\n# ${name}`)
  const { status } = spawnSync(process.execPath, [join(folder, `${name}.bench.mjs`)], { stdio: 'inherit' })
  if (status) process.exit(status)
}
