import { axesRules } from './axes.ts'
import type { UpgradeRule } from './rule.ts'

/** All rules, each for one operator and one opset. */
export const upgradeRules: readonly UpgradeRule[] = [...axesRules]
