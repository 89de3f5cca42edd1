/** How many bytes of a piece have not been spent, by the memory that they lie in. */
const unspent = new WeakMap<ArrayBufferLike, number>()

/**
 * Marks a new buffer that is handed on and not looked at again by whoever made it, so that its memory can be given back as soon
 * as the last reader has spent it. Long streams are made of such buffers: left to the garbage collector, hundreds of megabytes
 * of them pile up, and finding them again and again costs more than moving the bytes. Buffers that share a pool are left alone.
 */
export function passOn(bytes: Buffer): Buffer {
  const { buffer, byteOffset, length } = bytes
  // The pool is of exactly that size, and only buffers under half of it are taken from there.
  const mayBePooled = buffer.byteLength <= Buffer.poolSize && length < Buffer.poolSize >>> 1
  if (byteOffset === 0 && !mayBePooled && length > 0) unspent.set(buffer, length)
  return bytes
}

/**
 * Tells that nobody looks at a piece any more, nor the system: to be called by the last reader alone, after its bytes were
 * copied or their writing has ended. When that was said of all pieces of a buffer that was passed on its memory is free at
 * once, and the buffer empty. Of any other bytes nothing happens: the garbage collector finds them, as it does those whose
 * reader gave up.
 */
export function spent(piece: Buffer): void {
  const { buffer } = piece
  const before = unspent.get(buffer)
  if (before === undefined || !(buffer instanceof ArrayBuffer)) return
  const left = before - piece.length
  if (left > 0) return void unspent.set(buffer, left)
  unspent.delete(buffer)
  buffer.transfer(0)
}
