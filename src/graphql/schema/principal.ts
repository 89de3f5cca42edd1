import type { Principal as PrincipalRow } from '../context.ts'
import { builder } from './builder.ts'

const Principal = builder.objectRef<PrincipalRow>('Principal').implement({
  description: 'Who is asking, as the audit log will name them.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'The name: `local` where no token is asked for, `api-token` where the caller showed it.',
    }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({ type: Principal, description: 'Who is asking.', resolve: (_root, _args, { principal }) => principal }),
)
