import type { Formulation } from './formulation.ts'

/** The formulations of each semantic operator, best first; a new one is an entry here and a file of its own. */
export const formulations: ReadonlyMap<string, readonly Formulation[]> = new Map<string, readonly Formulation[]>([])
