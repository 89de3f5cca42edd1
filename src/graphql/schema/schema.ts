import './scalars.ts'
import './principal.ts'
import { builder } from './builder.ts'

/** The whole schema: every noun's file declares its part when it is imported here. */
export const schema = builder.toSchema()
