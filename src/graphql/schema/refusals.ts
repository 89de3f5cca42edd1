import type { FieldMap, ObjectRef } from '@pothos/core'
import { ConfirmationMismatch, InvalidInput, NameTaken, NotFound, type Refusal } from '../../refusal.ts'
import { builder, type Types } from './builder.ts'

/** A class of refusals, as the schema knows it. */
export type RefusalClass<R extends Refusal = Refusal> = new (...args: never[]) => R

const RefusalInterface = builder.interfaceRef<Refusal>('Refusal').implement({
  description:
    'An answer that says no and what to do about it; nothing was changed. The name of the type is the code of the refusal.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'What stands in the way, with the names and values concerned.' }),
    recommendedActions: t.stringList({
      description: 'What can be done about it, the most useful first.',
      resolve: (refusal) => [...refusal.recommendedActions],
    }),
  }),
})

/** Makes a class of refusals a type of the schema, named after the class, with the fields a client needs to recover. */
export function refusalType<R extends Refusal>(
  refusal: RefusalClass<R>,
  description: string,
  fields?: (t: PothosSchemaTypes.ObjectFieldBuilder<Types, R>) => FieldMap,
): void {
  const type = builder.objectRef<R>(refusal.name)
  builder.configStore.associateParamWithRef(refusal, type)
  builder.objectType(type as ObjectRef<Types, Refusal>, {
    description,
    interfaces: [RefusalInterface],
    isTypeOf: (value) => value instanceof refusal,
    // The type was made for R just above; only its interface is checked against the base class.
    fields: (t) => fields?.(t as PothosSchemaTypes.ObjectFieldBuilder<Types, R>) ?? {},
  })
}

refusalType(NotFound, 'Nothing of that kind has the given id, or it is no longer there.', (t) => ({
  kind: t.exposeString('kind', { description: 'The kind of object that was looked for.' }),
  field: t.exposeString('field', {
    nullable: true,
    description: 'The field of the input whose id is of another kind of object; null when its kind is right.',
  }),
}))

refusalType(InvalidInput, 'One field of the input cannot be used as it is.', (t) => ({
  field: t.exposeString('field', { description: 'The field of the input that cannot be used.' }),
}))

refusalType(NameTaken, 'The name belongs to another object of the same kind already.', (t) => ({
  takenName: t.exposeString('takenName', { description: 'The name that was asked for.' }),
}))

refusalType(ConfirmationMismatch, 'What was typed as confirmation is not the name of what is meant.', (t) => ({
  field: t.exposeString('field', { description: 'The field of the input that the name belongs in.' }),
}))
