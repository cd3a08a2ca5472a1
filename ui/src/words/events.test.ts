import { expect, test } from 'vitest'
import type { LatheEvent } from '../api/types'
import { linkOf, newestByPhase, wordsOf } from './events'

let seq = 0
function event(kind: string, subject: string, data: unknown = {}): LatheEvent {
  seq += 1
  return { seq, at: seq, kind, subject, summary: '', data }
}

test.each([
  [event('run.finished', 'run/ab', { status: 'FINISHED' }), 'Run finished', 'good'],
  [event('run.finished', 'run/ab', { status: 'FAILED' }), 'Run failed', 'bad'],
  [event('gate.decided', 'model/m/2', { outcome: 'fail' }), 'Gate failed', 'bad'],
  [event('gate.decided', 'model/m/2', { outcome: 'pass' }), 'Gate passed', 'good'],
  [event('alert.opened', 'deployment/d'), 'Alert opened', 'bad'],
  [event('rollout.rolled_back', 'deployment/d'), 'Rolled back', 'bad'],
  [event('stage.cache_missed', 'stage/x'), 'Stage cache missed', 'plain'],
])('%o in plain words', (given, title, tone) => {
  expect(wordsOf(given)).toMatchObject({ title, tone })
})

test.each([
  [event('run.finished', 'run/ab12'), '/runs/ab12'],
  [event('version.registered', 'model/bike demand/3'), '/models/bike%20demand?version=3'],
  [event('model.created', 'model/m'), '/models/m'],
  [event('window.closed', 'deployment/d', { start: 1000, end: 2000 }), '/deployments/d?window=1000'],
  [event('alert.opened', 'deployment/d', { alert: 3 }), '/deployments/d?alert=3'],
  [event('rollout.step', 'deployment/d', { rollout: 3 }), '/deployments/d'],
  [event('job.done', 'job/7'), '/jobs?job=7'],
  [event('project.declared', 'project/p'), null],
  [event('odd', ''), null],
])('%o leads to its page', (given, link) => {
  expect(linkOf(given)).toBe(link)
})

test('each part of the loop shows the newest that happened there, a job where its work belongs', () => {
  const older = event('run.finished', 'run/a')
  const newer = event('run.finished', 'run/b')
  const gate = event('job.started', 'job/1', { kind: 'gate' })
  const retrain = event('job.started', 'job/2', { kind: 'retrain' })
  const found = newestByPhase([older, newer, gate, retrain, event('alias.set', 'model/m')])
  expect([...found]).toEqual([
    ['run', newer],
    ['gate', gate],
    ['retrain', retrain],
  ])
})
