import './scalars.ts'
import './principal.ts'
import '../nouns/audit.ts'
import '../nouns/backup-instance.ts'
import '../nouns/backup-instances.ts'
import '../nouns/job.ts'
import '../nouns/jobs.ts'
import '../nouns/policy.ts'
import '../nouns/recovery-point.ts'
import '../nouns/refusals.ts'
import '../nouns/server.ts'
import '../nouns/subscriptions.ts'
import '../nouns/vault.ts'
import '../nouns/vault-security.ts'
import { builder } from './builder.ts'

/** The whole schema: every noun's file declares its part when it is imported here. */
export const schema = builder.toSchema()
