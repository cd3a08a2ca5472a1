// What a trace says of itself, and the order in which its spans are drawn.

import type { Assessment, SpanHead, TraceInfo, TraceState } from '../api/types'
import type { Tone } from './events'

export const TRACE_STATES: Record<TraceState, { word: string; glyph: string; tone: Tone }> = {
  OK: { word: 'ok', glyph: '✓', tone: 'good' },
  ERROR: { word: 'error', glyph: '✕', tone: 'bad' },
  IN_PROGRESS: { word: 'in progress', glyph: '…', tone: 'busy' },
  STATE_UNSPECIFIED: { word: 'unknown', glyph: '?', tone: 'plain' },
}

export function traceName(trace: TraceInfo): string {
  return trace.tags?.['mlflow.traceName'] ?? trace.trace_id.slice(0, 12)
}

/** `1.5s` in milliseconds. */
export function durationMs(text: string | undefined): number | null {
  const seconds = Number(text?.replace(/s$/, ''))
  return text && Number.isFinite(seconds) ? seconds * 1_000 : null
}

export function tokensOf(trace: TraceInfo): number | null {
  try {
    const usage = JSON.parse(trace.trace_metadata?.['mlflow.trace.tokenUsage'] ?? 'null') as { total_tokens?: number } | null
    return usage?.total_tokens ?? null
  } catch {
    return null
  }
}

/** The tags that people set, as `key=value`. */
export function ownTags(trace: TraceInfo): string[] {
  const pairs = Object.entries(trace.tags ?? {}).filter(([key]) => !key.startsWith('mlflow.'))
  return pairs.sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => `${key}=${value}`)
}

export function said({ feedback, expectation, issue }: Assessment): string {
  if (issue) return issue.issue_name
  if (feedback?.error) return `no value: ${feedback.error.error_message ?? feedback.error.error_code ?? 'an error'}`
  if (expectation?.serialized_value) return expectation.serialized_value.value ?? ''
  const value = feedback ? feedback.value : expectation?.value
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}

export interface Row {
  span: SpanHead
  depth: number
}

/** Every span below its parent, siblings as they started; spans whose parent is not here stand as roots. */
export function rowsOf(spans: SpanHead[]): Row[] {
  const known = new Set(spans.map(({ span_id }) => span_id))
  const children = new Map<string, SpanHead[]>()
  const roots: SpanHead[] = []
  for (const span of spans.toSorted((a, b) => a.start_us - b.start_us)) {
    const { parent_id } = span
    if (parent_id === null || !known.has(parent_id) || parent_id === span.span_id) roots.push(span)
    else children.set(parent_id, [...(children.get(parent_id) ?? []), span])
  }
  const rows: Row[] = []
  // A stack, since a tree may be deeper than calls can be.
  const waiting = roots.toReversed().map((span) => ({ span, depth: 0 }))
  for (let row = waiting.pop(); row; row = waiting.pop()) {
    const { span, depth } = row
    rows.push(row)
    waiting.push(...(children.get(span.span_id) ?? []).toReversed().map((child) => ({ span: child, depth: depth + 1 })))
  }
  return rows
}

/** Where a span's bar begins and how wide it is, as shares of the whole trace; never too thin to be seen. */
export function barOf(span: SpanHead, total_us: number): { left: number; width: number } {
  const whole = Math.max(total_us, 1)
  const left = Math.min(span.start_us / whole, 0.995)
  const width = Math.min(Math.max((span.duration_us ?? whole - span.start_us) / whole, 0.005), 1 - left)
  return { left, width }
}

export function totalOf(spans: SpanHead[]): number {
  return spans.reduce((most, { start_us, duration_us }) => Math.max(most, start_us + (duration_us ?? 0)), 0)
}
