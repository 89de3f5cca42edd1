import type { InputFieldMap, InputShapeFromFields, MaybePromise, ShapeFromTypeParam, TypeParam } from '@pothos/core'
import type { GraphqlContext } from '../context.ts'
import { forgetLoaded } from './batched.ts'
import { builder, type Types } from './builder.ts'
import type { RefusalClass } from './refusals.ts'

builder.mutationType({ description: 'Everything that can be done; each field is one intent.' })

/** One field of a payload: the resolver's answer has a property of the same name. */
export interface PayloadField<Type extends TypeParam<Types> = TypeParam<Types>, Nullable extends boolean = boolean> {
  type: Type
  description: string
  nullable?: Nullable
}

type PayloadFields = Record<string, PayloadField>

type PayloadShape<Fields extends PayloadFields> = {
  [Name in keyof Fields]: ShapeFromTypeParam<
    Types,
    Fields[Name]['type'],
    Fields[Name] extends { nullable: true } ? true : false
  >
}

export interface MutationOptions<Input extends InputFieldMap, Payload extends PayloadFields> {
  /** What it does, as a full sentence. */
  description: string
  input: (t: PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>) => Input
  payload: Payload
  /** Every refusal that the operation may throw; any other is masked as a bug. */
  refusals: RefusalClass[]
  resolve: (input: InputShapeFromFields<Input>, context: GraphqlContext) => MaybePromise<PayloadShape<Payload>>
}

/**
 * Declares one mutation by the rules: `stopProtection(input: StopProtectionInput!): StopProtectionResult!`, where the
 * result is the union of `StopProtectionPayload` and the refusals named.
 */
export function mutation<Input extends InputFieldMap, const Payload extends PayloadFields>(
  name: string,
  { description, input, payload, refusals, resolve }: MutationOptions<Input, Payload>,
): void {
  const typeName = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
  const inputType = builder.inputType(`${typeName}Input`, {
    description: `What ${name} is asked to do.`,
    fields: (t): InputFieldMap => input(t),
  })
  const payloadType = builder.objectRef<Record<string, unknown>>(`${typeName}Payload`).implement({
    description: `What ${name} answers when it has done what was asked.`,
    // PayloadShape above holds that each answer fits its field's type.
    fields: (t) => mapValues(payload, (field, key) => t.field({ ...field, resolve: (answer) => answer[key] as never })),
  })
  // The input built from these fields has the shape of these fields; Pothos cannot follow that through a generic.
  const perform = resolve as (input: object, context: GraphqlContext) => MaybePromise<Record<string, unknown>>
  builder.mutationField(name, (t) =>
    t.field({
      type: payloadType,
      description,
      args: { input: t.arg({ type: inputType, required: true, description: `What ${name} is asked to do.` }) },
      errors: {
        types: refusals,
        union: {
          name: `${typeName}Result`,
          description: `What ${name} did, or the refusal that says why nothing was changed.`,
        },
      },
      resolve: async (_root, args, context) => {
        const answer = await perform(namingFields(args.input), context)
        // An earlier mutation of the same request may have loaded what this one has changed.
        forgetLoaded(context)
        return answer
      },
    }),
  )
}

/** The input with each id told the field that it stands in. */
function namingFields(input: object, within = ''): object {
  const named = ([name, value]: [string, unknown]): [string, unknown] => {
    const field = `${within}${name}`
    if (Array.isArray(value)) return [name, value.map((item, index) => namingItem(item, `${field}[${index}]`))]
    if (typeof value !== 'object' || value === null || value instanceof Date) return [name, value]
    return [name, 'typename' in value ? { ...value, field } : namingFields(value, `${field}.`)]
  }
  return Object.fromEntries(Object.entries(input).map(named))
}

/** An id in a list of them; other items are not looked into. */
function namingItem(item: unknown, field: string): unknown {
  return typeof item === 'object' && item !== null && 'typename' in item ? { ...item, field } : item
}

function mapValues<From, To>(record: Record<string, From>, change: (value: From, key: string) => To) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]))
}
