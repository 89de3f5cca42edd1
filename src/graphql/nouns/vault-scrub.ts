import { findScrubs } from '../../recovery-point/verification/find-scrubs.ts'
import type { Vault as VaultRow } from '../../vault/vault.ts'
import { batched } from '../schema/batched.ts'
import { builder } from '../schema/builder.ts'
import { Vault } from './declared.ts'

const scrubOf = batched(({ database, now }, vaultIds) => findScrubs(database, { vaultIds, now: now() }))

const VaultScrub = builder.objectRef<VaultRow>('VaultScrub').implement({
  description:
    'How the bytes that a vault keeps are read again and compared with what was written, so that damage at rest is found.',
  fields: (t) => ({
    periodDays: t.int({
      description:
        'Within how many days all of them are read again, by this or by a verification that goes further; 0 when that is off.',
      resolve: ({ scrubDays }) => scrubDays,
    }),
    oldestReadAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the recovery point was read that was read longest ago; null when one was not read yet, or there is none.',
      resolve: async ({ id }, _args, context) => (await scrubOf(context, id, undefined))?.oldestReadAt,
    }),
    pointsDue: t.int({
      description: 'How many recovery points were read longer ago than the period allows; 0 when that is off.',
      resolve: async ({ id }, _args, context) => (await scrubOf(context, id, undefined))?.pointsDue ?? 0,
    }),
    isBehind: t.boolean({
      description: 'Whether there are any of those: reading does not keep up, or fails.',
      resolve: async ({ id }, _args, context) => ((await scrubOf(context, id, undefined))?.pointsDue ?? 0) > 0,
    }),
  }),
})

builder.objectFields(Vault, (t) => ({
  scrub: t.field({
    type: VaultScrub,
    description: 'How its bytes are read again so that damage at rest is found.',
    resolve: (vault) => vault,
  }),
}))

export const ScrubInput = builder.inputType('ScrubInput', {
  description: 'How the bytes that a vault keeps are read again.',
  fields: (t) => ({
    periodDays: t.int({
      required: true,
      description: 'Within how many days all of them are, 1 to 365; 0 turns it off.',
    }),
  }),
})
