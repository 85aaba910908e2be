/** Copies what the compiler leaves behind, recipes above all, into dist. */
import { cpSync, existsSync } from 'node:fs'

for (const folder of ['pipelines/recipes'])
  if (existsSync(`src/${folder}`))
    cpSync(`src/${folder}`, `dist/${folder}`, { recursive: true, filter: (file) => !file.endsWith('.ts') })
