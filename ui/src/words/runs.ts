// A run's values and the columns of the table of runs.

import type { Metric, Run } from '../api/types'

export function nameOf({ info }: Run): string {
  return info.run_name || info.run_id.slice(0, 8)
}

export function metricOf(run: Run, key: string): Metric | undefined {
  return run.data?.metrics?.find((metric) => metric.key === key)
}

export function paramOf(run: Run, key: string): string | undefined {
  return run.data?.params?.find((param) => param.key === key)?.value
}

export function durationOf({ info }: Run, now: number): number | null {
  if (!info.start_time) return null
  const end = info.end_time || (info.status === 'RUNNING' ? now : 0)
  return end ? end - info.start_time : null
}

/** The keys that these runs have, the most common first, then by name. */
export function keysOf(runs: Run[], kind: 'metrics' | 'params'): string[] {
  const seen = new Map<string, number>()
  for (const run of runs) {
    for (const { key } of run.data?.[kind] ?? []) seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  return [...seen].sort(([a, inA], [b, inB]) => inB - inA || a.localeCompare(b)).map(([key]) => key)
}

/** `metrics.val/rmse` as MLflow's search wants it: the key in backticks. */
export function orderBy(column: string, order: 'asc' | 'desc'): string {
  const dot = column.indexOf('.')
  const [kind, key] = [column.slice(0, dot), column.slice(dot + 1)]
  return `${kind}.\`${key}\` ${order === 'asc' ? 'ASC' : 'DESC'}`
}

export interface Curve {
  x: number[]
  y: (number | null)[]
}

/** The history of a metric along steps or along time, ascending; what is not a number is a gap. */
export function curveOf(points: Metric[], along: 'step' | 'time'): Curve {
  const at = ({ step, timestamp }: Metric) => (along === 'step' ? (step ?? 0) : timestamp)
  const sorted = points.toSorted((a, b) => at(a) - at(b) || a.timestamp - b.timestamp)
  return {
    x: sorted.map(at),
    y: sorted.map(({ value }) => (Number.isFinite(Number(value)) ? Number(value) : null)),
  }
}
