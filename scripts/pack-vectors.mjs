/** Writes the test vectors at the end of docs/pack.md anew. They change only with the version of the format. */
import { spawnSync } from 'node:child_process'

const env = { ...process.env, WRITE_PACK_VECTORS: '1' }
const result = spawnSync('npx', ['vitest', 'run', 'test/unit/formats/pack/vectors.test.ts'], { stdio: 'inherit', env })
process.exit(result.status ?? 1)
