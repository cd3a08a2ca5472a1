import { expect, test } from 'vitest'
import type { SpanHead, TraceInfo } from '../api/types'
import { barOf, durationMs, ownTags, rowsOf, said, tokensOf, totalOf } from './traces'

const span = (span_id: string, parent_id: string | null, start_us: number, duration_us: number | null = 1): SpanHead => ({
  span_id,
  parent_id,
  name: span_id,
  kind: 'TOOL',
  status: 'OK',
  start_us,
  duration_us,
  total_tokens: null,
})

const trace = (more: Partial<TraceInfo>): TraceInfo => ({
  trace_id: 'tr-1',
  trace_location: {},
  request_time: '2026-01-01T00:00:00Z',
  state: 'OK',
  ...more,
})

test('spans stand below their parents, as they started, and orphans as roots', () => {
  const rows = rowsOf([span('late', 'root', 5), span('root', null, 0), span('deep', 'early', 3), span('early', 'root', 1), span('lost', 'gone', 9)])
  expect(rows.map(({ span: { span_id }, depth }) => `${depth} ${span_id}`)).toEqual(['0 root', '1 early', '2 deep', '1 late', '0 lost'])
})

test('a tree deeper than calls can be is drawn', () => {
  const chain = Array.from({ length: 20_000 }, (_, n) => span(String(n), n === 0 ? null : String(n - 1), n))
  expect(rowsOf(chain).at(-1)?.depth).toBe(19_999)
})

test('a bar is where its span was, and wide enough to be seen', () => {
  expect(barOf(span('a', null, 50, 25), 100)).toEqual({ left: 0.5, width: 0.25 })
  expect(barOf(span('a', null, 100, 0), 100).width).toBeGreaterThan(0.004)
  expect(barOf(span('a', null, 40, null), 100)).toEqual({ left: 0.4, width: 0.6 })
  expect(totalOf([span('a', null, 0, 5), span('b', null, 4, 3)])).toBe(7)
})

test('what a trace says of itself is read, and what it does not say is not invented', () => {
  expect([durationMs('1.5s'), durationMs('0s'), durationMs(undefined)]).toEqual([1500, 0, null])
  expect(tokensOf(trace({ trace_metadata: { 'mlflow.trace.tokenUsage': '{"total_tokens": 12}' } }))).toBe(12)
  expect(tokensOf(trace({ trace_metadata: { 'mlflow.trace.tokenUsage': 'x' } }))).toBeNull()
  expect(ownTags(trace({ tags: { 'mlflow.traceName': 'x', b: '2', a: '1' } }))).toEqual(['a=1', 'b=2'])
})

test('an assessment says its value, its text or why there is none', () => {
  const of = { assessment_id: 'a', assessment_name: 'n' }
  expect(said({ ...of, feedback: { value: 0.5 } })).toBe('0.5')
  expect(said({ ...of, feedback: { error: { error_message: 'out of tokens' } } })).toBe('no value: out of tokens')
  expect(said({ ...of, expectation: { serialized_value: { value: '["a"]' } } })).toBe('["a"]')
  expect(said({ ...of, expectation: { value: 'yes' } })).toBe('yes')
})
