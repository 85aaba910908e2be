import type { CliCommand } from './command.ts'
import { catalog } from './commands/catalog.ts'
import { compare } from './commands/compare.ts'
import { compress } from './commands/compress.ts'
import { criteria } from './commands/criteria.ts'
import { decompositions } from './commands/decompositions.ts'
import { demo } from './commands/demo.ts'
import { evaluate } from './commands/evaluate.ts'
import { exportCommand } from './commands/export.ts'
import { inspect } from './commands/inspect.ts'
import { papers } from './commands/papers.ts'
import { restore } from './commands/restore.ts'
import { sensitivity } from './commands/sensitivity.ts'
import { train } from './commands/train.ts'

/** The commands, in the order in which help lists them. */
export const commands: readonly CliCommand[] = [
  inspect,
  sensitivity,
  compress,
  restore,
  exportCommand,
  train,
  evaluate,
  compare,
  catalog,
  papers,
  criteria,
  decompositions,
  demo,
]
