import { OperationNotAllowed } from '../../../instance/states.ts'
import { RecoveryPointBeingRemoved } from '../../../recovery-point/recovery-point.ts'
import { VerificationAlreadyRunning, verifyRecoveryPoint } from '../../../recovery-point/verify.ts'
import { NotFound } from '../../../refusal.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, Job } from '../declared.ts'
import { VerifyLevel } from '../enums.ts'
import { asked } from '../fields.ts'

mutation('verifyRecoveryPoint', {
  description:
    'Starts a job that shows a recovery point good to a level: re-reads and digests every stored byte, decodes every archive, or restores all of it into a scratch server. What it finds wrong makes the point SUSPECT.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    level: t.field({
      type: VerifyLevel,
      required: true,
      defaultValue: 'DECODED',
      description: 'How far it goes.',
    }),
  }),
  payload: { job: { type: Job, description: 'The job that verifies it.' } },
  refusals: [NotFound, OperationNotAllowed, RecoveryPointBeingRemoved, VerificationAlreadyRunning],
  resolve: async ({ recoveryPoint, level }, context) => {
    const recoveryPointId = idOf('RecoveryPoint', recoveryPoint)
    return { job: await verifyRecoveryPoint(context.database, { recoveryPointId, level, ...asked(context) }) }
  },
})
