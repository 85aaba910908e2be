/** Types of values: inference, and giving numbers to symbolic sizes. */
export { bindDimensions, rebatch } from './dimensions.ts'
export { inferShapes, type TypeTable } from './infer.ts'
