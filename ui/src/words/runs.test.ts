import { expect, test } from 'vitest'
import type { Run } from '../api/types'
import { curveOf, durationOf, keysOf, orderBy } from './runs'

const run = (metrics: string[], info: Partial<Run['info']> = {}): Run => ({
  info: { run_id: 'r', experiment_id: '0', status: 'FINISHED', ...info },
  data: { metrics: metrics.map((key) => ({ key, value: 1, timestamp: 0 })) },
})

test('columns are the keys of the runs, the most common first', () => {
  expect(keysOf([run(['b', 'a']), run(['b']), { info: run([]).info }], 'metrics')).toEqual(['b', 'a'])
})

test('a key with a slash or a dot is put into backticks for the search', () => {
  expect(orderBy('metrics.val/loss.mean', 'asc')).toBe('metrics.`val/loss.mean` ASC')
})

test('a running run has lasted until now', () => {
  expect(durationOf(run([], { start_time: 10, end_time: 30 }), 99)).toBe(20)
  expect(durationOf(run([], { start_time: 10, status: 'RUNNING' }), 99)).toBe(89)
  expect(durationOf(run([], { start_time: 10 }), 99)).toBeNull()
})

test('a curve ascends along its axis, and what is no number is a gap', () => {
  const points = [
    { key: 'm', value: 2, timestamp: 5, step: 1 },
    { key: 'm', value: 'NaN', timestamp: 9, step: 2 },
    { key: 'm', value: 1, timestamp: 7, step: 0 },
  ]
  expect(curveOf(points, 'step')).toEqual({ x: [0, 1, 2], y: [1, 2, null] })
  expect(curveOf(points, 'time')).toEqual({ x: [5, 7, 9], y: [2, 1, null] })
})
