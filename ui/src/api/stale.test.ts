import { expect, test } from 'vitest'
import { appended } from './live'
import { staleAfter } from './stale'
import type { LatheEvent } from './types'

const event = (seq: number, kind = 'odd.thing', subject = ''): LatheEvent => ({ seq, at: 0, kind, subject, summary: '', data: null })

test.each([
  ['run.finished', 'run/ab', 'experiments|runs|run ab|lineage'],
  ['alias.set', 'model/m', 'models|deployments|lineage'],
  ['gate.decided', 'model/m/3', 'verdicts m 3|models'],
  ['window.closed', 'deployment/d', 'windows d'],
  ['rollout.step', 'deployment/d', 'deployments|models'],
  ['job.done', 'job/7', 'jobs'],
  ['odd.thing', 'x/1', ''],
])('%s makes the answers about it stale', (kind, subject, keys) => {
  expect(staleAfter(event(1, kind, subject)).map((key) => key.join(' ')).join('|')).toBe(keys)
})

test('an event that is sent again after a broken line is shown once', () => {
  const feed = [event(1), event(2)]
  expect(appended(feed, event(2))).toBe(feed)
  expect(appended(feed, event(3)).map(({ seq }) => seq)).toEqual([1, 2, 3])
})
