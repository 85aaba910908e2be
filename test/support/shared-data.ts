import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * The path of real data beside the checkout, such as `mnist`, or undefined where it is not there: then the test that
 * asked is skipped, and says so.
 */
export function sharedData(path: string): string | undefined {
  const full = fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url))
  if (existsSync(full)) return full
  console.warn(`skipped: ../shared/data/${path} is not there`)
  return undefined
}
