import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  executeSubscriptionEvent,
  mapSourceToResponseEvent,
  validateSubscriptionArgs,
} from 'graphql'
import { type Masking, presentError, presentResult } from './errors.ts'

/** Executes a query or mutation; its errors are fit to be shown. */
export async function performOnce(args: ExecutionArgs, masking: Masking): Promise<ExecutionResult> {
  return presentResult(await execute({ ...args, hideSuggestions: true }), masking)
}

/**
 * Starts a subscription; every event is executed with a context of its own, so that its loaders read afresh.
 * `return()` of what is answered frees the source at once, also while it waits.
 */
export async function performSubscription(
  args: ExecutionArgs,
  masking: Masking,
): Promise<ExecutionResult | AsyncIterableIterator<ExecutionResult>> {
  const validated = validateSubscriptionArgs({ ...args, hideSuggestions: true })
  if (!('schema' in validated)) return presentResult({ errors: validated }, masking)
  const source = await createSourceEventStream(validated)
  if (!(Symbol.asyncIterator in source)) return presentResult(source, masking)
  const results = mapSourceToResponseEvent(validated, source, (event) =>
    executeSubscriptionEvent({ ...event, contextValue: { ...Object(event.contextValue) } }),
  )
  return presented(results, masking)
}

/** After so many results in a row the process sees to its sockets: a source that never waits would keep it from them. */
const resultsPerTurn = 16

/** Shows each result, and a failure of the source as a last result with a masked error. */
function presented(
  results: AsyncGenerator<ExecutionResult, void, void>,
  masking: Masking,
): AsyncIterableIterator<ExecutionResult> {
  let isOver = false
  let count = 0
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      count += 1
      if (count % resultsPerTurn === 0) await nextTurn()
      if (isOver) return { done: true, value: undefined }
      try {
        const { done, value } = await results.next()
        if (done) return { done: true, value: undefined }
        return { done: false, value: presentResult(value, masking) }
      } catch (error) {
        isOver = true
        return { done: false, value: { errors: [presentError(error, masking)] } }
      }
    },
    async return() {
      isOver = true
      await results.return()
      return { done: true, value: undefined }
    },
  }
}
