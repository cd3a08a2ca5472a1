// Jobs: what the loop does without being asked.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { jobs } from '../api/queries'
import type { Job } from '../api/types'
import { Badge } from '../parts/badge'
import { Prose } from '../parts/prose'
import { Empty, Loaded } from '../parts/state'
import { Table } from '../parts/table'
import { When } from '../parts/when'
import type { Tone } from '../words/events'
import { duration } from '../words/format'
import { useTitle } from './shell'

const route = getRouteApi('/jobs')

const STATES: Record<Job['state'], { word: string; glyph: string; tone: Tone }> = {
  queued: { word: 'queued', glyph: '…', tone: 'plain' },
  running: { word: 'running', glyph: '…', tone: 'busy' },
  done: { word: 'done', glyph: '✓', tone: 'good' },
  failed: { word: 'failed', glyph: '✕', tone: 'bad' },
}

export function JobsPage() {
  useTitle('Jobs')
  const { job: chosen } = route.useSearch()
  const asked = useQuery(jobs)
  return (
    <section className="page">
      <h1>Jobs</h1>
      <Loaded query={asked}>
        {(all) =>
          all.length === 0 ? (
            <Empty title="No job yet." command="lathe deploy NAME">
              An alert that fires a <code>[trigger.NAME]</code> of <code>lathe.toml</code> queues jobs here: retrain, gate, deploy.
            </Empty>
          ) : (
            <Table label="Jobs, newest first">
              <thead>
                <tr>
                  <th scope="col">Job</th>
                  <th scope="col">State</th>
                  <th scope="col">Key</th>
                  <th scope="col">Asked for by</th>
                  <th scope="col" className="number">
                    Attempts
                  </th>
                  <th scope="col" className="number">
                    Took
                  </th>
                  <th scope="col">Queued</th>
                  <th scope="col">Error</th>
                </tr>
              </thead>
              <tbody>
                {all.map((job) => (
                  <tr key={job.id} className={job.id === chosen ? 'chosen' : undefined} aria-current={job.id === chosen || undefined}>
                    <th scope="row">
                      {job.id} · {job.kind}
                    </th>
                    <td>
                      <Badge of={STATES[job.state]} />
                    </td>
                    <td>
                      <code>{job.key}</code>
                    </td>
                    <td>{job.cause || '–'}</td>
                    <td className="number">
                      {job.attempts} of {job.attempts_max}
                    </td>
                    <td className="number">{tookOf(job)}</td>
                    <td>
                      <When at={job.created_at} />
                    </td>
                    <td className="reason">
                      <Prose text={job.error ?? '–'} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </Table>
          )
        }
      </Loaded>
    </section>
  )
}

function tookOf({ state, created_at, updated_at }: Job): string {
  return state === 'done' || state === 'failed' ? duration(updated_at - created_at) : '–'
}
