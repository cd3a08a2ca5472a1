import { expect, test } from 'vitest'
import type { Alert, ColumnVerdict, Deployment, Outcome, Target, Window } from '../api/types'
import { answersInWords, driftInWords, foremost, stepInWords, versionSpans, warningsOf } from './loop'

const target = (version: number, role: Target['role'], weight: number): Target => ({
  version,
  role,
  weight,
  fault: null,
  executes_code: false,
})

test('who answers, in one sentence', () => {
  const words = (stable: number | null, ...targets: Target[]) => answersInWords({ stable, targets } as Deployment)
  expect(words(null)).toBe('No version answers yet.')
  expect(words(3, target(3, 'stable', 1))).toBe('Version 3 answers.')
  expect(words(3, target(3, 'stable', 0.95), target(4, 'canary', 0.05))).toBe('Version 3 answers; version 4 takes 5 % as a canary.')
  expect(words(3, target(3, 'stable', 1), target(4, 'shadow', 0))).toBe('Version 3 answers; version 4 sees copies as a shadow.')
})

test('a version says which fault is rehearsed on it, and that it executes code', () => {
  const stable = target(3, 'stable', 1)
  const fault = { delay_ms: 40, error_share: 0.2 }
  expect(warningsOf(stable)).toEqual([])
  expect(warningsOf({ ...stable, executes_code: true })).toEqual(['executes code'])
  expect(warningsOf({ ...stable, fault, executes_code: true })).toEqual([
    'rehearsed fault: 40 ms delay, 20 % errors',
    'executes code',
  ])
})

test('the steps of a rollout read as they are written', () => {
  expect([{ shadow: '10m' }, { canary: 5, for: '10m' }, { canary: 100 }].map(stepInWords)).toEqual([
    'shadow for 10m',
    '5 % for 10m',
    '100 %',
  ])
})

function window(version: number, outcomes?: Outcome[]): Window {
  const columns = outcomes?.map((outcome) => ({ outcome }) as ColumnVerdict)
  const moved = outcomes?.filter((outcome) => outcome === 'drift').length ?? 0
  const drift = columns && { outcome: 'drift' as const, columns, share: moved / columns.length, share_threshold: 0.5, reference: '' }
  return { version, drift: drift ?? null } as Window
}

test('drift counts the columns that could be compared', () => {
  expect(driftInWords(window(1))).toBe('still open')
  expect(driftInWords(window(1, ['drift', 'ok']))).toBe('1 of 2 columns moved (50 %)')
})

test('windows of one version form one span', () => {
  expect(versionSpans([1, 1, 2, 1].map((version) => window(version)))).toEqual([
    { version: 1, length: 2 },
    { version: 2, length: 1 },
    { version: 1, length: 1 },
  ])
})

test('an alert that still needs eyes comes before a newer one that does not', () => {
  const alert = (id: number, state: Alert['state']) => ({ id, state }) as Alert
  expect(foremost([alert(3, 'resolved'), alert(2, 'open')])?.id).toBe(2)
  expect(foremost([alert(3, 'resolved'), alert(2, 'resolved')])?.id).toBe(3)
  expect(foremost([])).toBeUndefined()
})
