/** A number of jobs of one kind in one state. */
export interface JobCount {
  operation: string
  status: string
  count: number
}

export interface Metrics {
  jobs: readonly JobCount[]
  sockets: number
  eventStreams: number
}

/** What /metrics answers, as Prometheus reads it. */
export function metricsText({ jobs, sockets, eventStreams }: Metrics): string {
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
    '# HELP holdfast_jobs Jobs by operation and status.',
    '# TYPE holdfast_jobs gauge',
    ...jobs.map(
      ({ operation, status, count }) => `holdfast_jobs{operation="${operation}",status="${status}"} ${count}`,
    ),
    '',
  ].join('\n')
}

function metric(name: string, type: 'counter' | 'gauge', help: string, value: number): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`]
}
