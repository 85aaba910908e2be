import { z } from 'zod'
import { UsageError } from '../../errors.ts'

/** How far one threshold reaches. */
export const scopeOption = z
  .enum(['layer', 'global'])
  .default('layer')
  .describe('one threshold a layer, or one for all')

/** @throws UsageError when there is one threshold for all layers, and options of single ones. */
export function assertOneThreshold(options: {
  readonly scope: z.infer<typeof scopeOption>
  readonly layers?: Readonly<Record<string, object>>
}): void {
  if (options.scope !== 'global' || Object.keys(options.layers ?? {}).length === 0) return
  throw new UsageError(
    'global-overrides',
    'with scope: global there is one threshold, and no options of single layers',
    {
      place: 'layers',
      hint: 'Leave layers out with exclude, or use scope: layer.',
    },
  )
}
