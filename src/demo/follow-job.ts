import type { Api } from './api.ts'
import { size } from './format.ts'
import type { Progress, Step } from './terminal.ts'

export interface FinishedJob {
  status: string
  warnings: string[]
}

interface Job extends FinishedJob {
  operation: string
  progress: {
    fraction: number | null
    bytesDone: number
    bytesTotal: number | null
    bytesPerSecond: number | null
    expectedEndAt: string | null
  }
  subTasks: { name: string; status: string }[]
  error: { code: string; message: string; details: string | null; recommendedActions: string[] } | null
}

/**
 * Watches a job to its end by a subscription and shows its progress; throws, with what Holdfast says about it, when it does
 * not complete. Warnings become details of the step.
 */
export async function followJob(api: Api, jobId: string, step: Step): Promise<FinishedJob> {
  const changes = api.watch<{ jobChanged: Job }>(
    `subscription ($id: ID!) {
      jobChanged(id: $id) {
        operation status warnings
        progress { fraction bytesDone bytesTotal bytesPerSecond expectedEndAt }
        subTasks { name status }
        error { code message details recommendedActions }
      }
    }`,
    { id: jobId },
  )
  let last: Job | undefined
  for await (const { jobChanged } of changes) {
    last = jobChanged
    step.progress(shown(jobChanged))
  }
  if (!last) throw new Error('The subscription ended without telling anything about the job.')
  if (!last.status.startsWith('COMPLETED')) throw new Error(failure(last))
  for (const warning of last.warnings) step.detail(`! ${warning}`)
  return last
}

function shown({ progress, subTasks }: Job): Progress {
  const { fraction, bytesDone, bytesTotal, bytesPerSecond, expectedEndAt } = progress
  const left = expectedEndAt === null ? null : Math.max(0, Math.round((Date.parse(expectedEndAt) - Date.now()) / 1000))
  const parts = [
    bytesTotal === null ? null : `${size(bytesDone)} of ${size(bytesTotal)}`,
    bytesPerSecond === null ? null : `${size(bytesPerSecond)}/s`,
    left === null ? null : `${left} s left`,
    subTasks.find(({ status }) => status === 'IN_PROGRESS')?.name ?? null,
  ]
  return { fraction, text: parts.filter((part) => part !== null).join(' · ') }
}

function failure({ operation, status, error }: Job): string {
  const lines = [`The ${operation} job ended as ${status}.`]
  if (error) lines.push(`${error.code}: ${error.message}`, ...(error.details ? [error.details] : []))
  return [...lines, ...(error?.recommendedActions ?? []).map((each) => `→ ${each}`)].join('\n')
}
