import { z } from 'zod'
import { fingerprint } from '../codecs/fingerprint.ts'
import type { RowStore } from './row.ts'

const figures = z.record(z.string(), z.number())

/**
 * Measures a part of what a row measures, or takes what was measured of it before a stop.
 * @param task all that the figures depend on besides the seed, as a text
 */
export async function measureOnce(
  store: RowStore,
  task: string,
  measure: () => Promise<z.infer<typeof figures>>,
): Promise<z.infer<typeof figures>> {
  const name = `figures-${fingerprint([task])}.json`
  const known = await store.read(name)
  if (known) return figures.parse(JSON.parse(new TextDecoder().decode(known)))
  const values = await measure()
  await store.write(name, new TextEncoder().encode(JSON.stringify(values)))
  return values
}
