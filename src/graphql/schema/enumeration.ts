import { builder } from './builder.ts'

/** Declares an enum whose values are those of a union type: none can be forgotten, each with its description. */
export function enumeration<Value extends string>(
  name: string,
  description: string,
  descriptions: Record<Value, string>,
) {
  const values = Object.entries<string>(descriptions).map(([value, text]) => [value, { description: text }])
  // The keys of the record are the values of the union.
  return builder.enumType(name, {
    description,
    values: Object.fromEntries(values) as Record<Value, { description: string }>,
  })
}
