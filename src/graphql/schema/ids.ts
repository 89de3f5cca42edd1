/** An id as a resolver gets it: the noun it names, and the row's own id. */
export interface NodeId {
  typename: string
  id: string
  /** The field of a mutation's input that it stands in; undefined elsewhere. */
  field?: string
}

const shape = /^([A-Z][A-Za-z]{0,63}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** The opaque, typed text of an id: base64url of `Type:uuid`. */
export function encodeNodeId(typename: string, id: string): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url')
}

/** Reads an id back; undefined for anything but the exact text that encodeNodeId wrote. */
export function decodeNodeId(text: string): NodeId | undefined {
  const [, typename, id] = shape.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? []
  if (typename === undefined || id === undefined || encodeNodeId(typename, id) !== text) return undefined
  return { typename, id }
}
