/**
 * All changes of the standard operators between opset 6 and 21 that a model can notice, from ONNX's changelog; changes that
 * only allow more (types, optional inputs, attributes whose default is the old meaning) need no rule.
 */
import { broadcastRules } from './broadcasting.ts'
import { inputRules } from './inputs.ts'
import { normalizationRules } from './normalization.ts'
import { resamplingRules } from './resampling.ts'
import type { UpgradeRule } from './rule.ts'

export const upgradeRules: readonly UpgradeRule[] = [
  ...broadcastRules,
  ...inputRules,
  ...normalizationRules,
  ...resamplingRules,
]
