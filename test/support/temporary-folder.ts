import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'

/** A folder for the tests of a file or of a `describe`: there is one while they run, and it is removed after them. */
export function temporaryFolder(purpose: string): (...parts: string[]) => string {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), `espalier-${purpose}-`))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return (...parts) => join(folder, ...parts)
}
