/** A number of jobs of one kind in one state. */
export interface JobCount {
  operation: string
  status: string
  count: number
}

/** How the service stands, as the database tells it. */
export interface Collected {
  /** Those that are pending, and those that were created within the last day. */
  jobs: readonly JobCount[]
  /** How long the job waits that could have started first, s, but for copies and verifications by the clock; 0 when none waits. */
  oldestQueuedSeconds: number
  /** How long ago a worker last said that it is there, s; null: none ever has. */
  workerSeenSeconds: number | null
  overdueCount: number
  byHealth: readonly { health: string; count: number }[]
  suspectPointCount: number
}

export interface Metrics extends Collected {
  sockets: number
  eventStreams: number
}

/** What /metrics answers, as Prometheus reads it. */
export function metricsText({ jobs, sockets, eventStreams, ...standing }: Metrics): string {
  const memory = process.memoryUsage()
  const cpu = process.cpuUsage()
  const startedAt = Date.now() / 1000 - process.uptime()
  return [
    ...metric('process_cpu_seconds_total', 'counter', 'Processor time used.', (cpu.user + cpu.system) / 1e6),
    ...metric('process_resident_memory_bytes', 'gauge', 'Memory held.', memory.rss),
    ...metric('process_start_time_seconds', 'gauge', 'When the process started.', startedAt),
    ...metric('nodejs_heap_size_used_bytes', 'gauge', 'Heap in use.', memory.heapUsed),
    ...metric('holdfast_websockets', 'gauge', 'Open WebSockets.', sockets),
    ...metric('holdfast_event_streams', 'gauge', 'Open streams of server-sent events.', eventStreams),
    ...standingMetrics(standing),
    '# HELP holdfast_jobs Jobs that are pending or were created within a day, by operation and status.',
    '# TYPE holdfast_jobs gauge',
    ...jobs.map(
      ({ operation, status, count }) => `holdfast_jobs{operation="${operation}",status="${status}"} ${count}`,
    ),
    '',
  ].join('\n')
}

const oldestQueued = 'How long a job waits for a worker, but for copies and verifications by the clock.'

function standingMetrics(standing: Omit<Collected, 'jobs'>): string[] {
  const { overdueCount, byHealth, suspectPointCount, oldestQueuedSeconds, workerSeenSeconds } = standing
  return [
    ...metric('holdfast_instances_overdue', 'gauge', 'Backup instances that are overdue.', overdueCount),
    '# HELP holdfast_instances Backup instances whose backups are neither stopped nor suspended, by health.',
    '# TYPE holdfast_instances gauge',
    ...byHealth.map(({ health, count }) => `holdfast_instances{health="${health}"} ${count}`),
    ...metric(
      'holdfast_recovery_points_suspect',
      'gauge',
      'Damaged recovery points, but for those of soft-deleted instances.',
      suspectPointCount,
    ),
    ...metric('holdfast_oldest_queued_job_seconds', 'gauge', oldestQueued, oldestQueuedSeconds),
    ...(workerSeenSeconds === null
      ? []
      : metric('holdfast_worker_last_seen_seconds', 'gauge', 'How long ago a worker was seen.', workerSeenSeconds)),
  ]
}

function metric(name: string, type: 'counter' | 'gauge', help: string, value: number): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`]
}
