// Traces across experiments, with the filter of the URL.

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { experiments, traces } from '../api/queries'
import type { Experiment, TraceInfo } from '../api/types'
import { Badge } from '../parts/badge'
import { Empty, Failed, Loaded, Loading } from '../parts/state'
import { Table } from '../parts/table'
import { When } from '../parts/when'
import { count, duration, number } from '../words/format'
import { durationMs, ownTags, tokensOf, TRACE_STATES, traceName } from '../words/traces'
import { useTitle } from './shell'

const route = getRouteApi('/traces')

export function TracesPage() {
  useTitle('Traces')
  const found = useQuery(experiments)
  return (
    <section className="page">
      <h1>Traces</h1>
      <Loaded query={found}>{(all) => <TracesOf experiments={all} />}</Loaded>
    </section>
  )
}

function TracesOf({ experiments: all }: { experiments: Experiment[] }) {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const ids = search.experiment ? [search.experiment] : all.map(({ experiment_id }) => experiment_id)
  const asked = useInfiniteQuery(traces(ids, search.filter ?? ''))
  const rows = useMemo(() => asked.data?.pages.flatMap((page) => page.traces ?? []) ?? [], [asked.data])
  const names = new Map(all.map(({ experiment_id, name }) => [experiment_id, name]))
  return (
    <>
      <div className="bar">
        <label>
          Experiment{' '}
          <select
            value={search.experiment ?? ''}
            onChange={({ target }) => navigate({ search: (old) => ({ ...old, experiment: target.value || undefined }) })}
          >
            <option value="">all</option>
            {all.map(({ experiment_id, name }) => (
              <option key={experiment_id} value={experiment_id}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <form
          className="grow"
          role="search"
          onSubmit={(event) => {
            event.preventDefault()
            const filter = String(new FormData(event.currentTarget).get('filter') ?? '').trim()
            void navigate({ search: (old) => ({ ...old, filter: filter || undefined }) })
          }}
        >
          <label className="grow">
            <span className="visually-hidden">Filter</span>
            <input
              key={search.filter}
              name="filter"
              defaultValue={search.filter}
              placeholder="Filter: status = 'ERROR' AND span.name = 'retrieve' AND feedback.score < 0.5"
              spellCheck={false}
              autoComplete="off"
            />
          </label>
          <button type="submit">Filter</button>
        </form>
      </div>
      {asked.isPending && asked.isEnabled && <Loading />}
      {asked.error && <Failed error={asked.error} />}
      {asked.data && rows.length === 0 && <NoTraces filtered={Boolean(search.filter || search.experiment)} />}
      {rows.length > 0 && (
        <>
          <TraceTable rows={rows} names={names} />
          <p className="more">
            <span className="soft">
              {count(rows.length, 'trace')}
              {asked.hasNextPage ? ' so far' : ''}
            </span>
            {asked.hasNextPage && (
              <button type="button" onClick={() => asked.fetchNextPage()} disabled={asked.isFetchingNextPage}>
                {asked.isFetchingNextPage ? 'Loading…' : 'Load more'}
              </button>
            )}
          </p>
        </>
      )}
    </>
  )
}

function NoTraces({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No trace matches." />
  ) : (
    <Empty
      title="No trace yet."
      command={`export MLFLOW_TRACKING_URI=${location.origin}\n# then, in Python:\n@mlflow.trace\ndef answer(question): …`}
    >
      A trace is what one request did, step by step, with the inputs, outputs and time of each step.
    </Empty>
  )
}

function TraceTable({ rows, names }: { rows: TraceInfo[]; names: Map<string, string> }) {
  return (
    <Table label="Traces">
      <thead>
        <tr>
          <th scope="col">Trace</th>
          <th scope="col">Status</th>
          <th scope="col">Request</th>
          <th scope="col">Response</th>
          <th scope="col" className="number">
            Duration
          </th>
          <th scope="col" className="number">
            Tokens
          </th>
          <th scope="col">Tags</th>
          <th scope="col">Experiment</th>
          <th scope="col">Started</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((trace) => {
          const took = durationMs(trace.execution_duration)
          const place = trace.trace_location.mlflow_experiment?.experiment_id ?? ''
          return (
            <tr key={trace.trace_id} data-trace={trace.trace_id}>
              <th scope="row">
                <Link to="/traces/$traceId" params={{ traceId: trace.trace_id }}>
                  {traceName(trace)}
                </Link>
              </th>
              <td>
                <Badge of={TRACE_STATES[trace.state]} />
              </td>
              <td className="short" title={trace.request_preview}>
                {trace.request_preview ?? '–'}
              </td>
              <td className="short" title={trace.response_preview}>
                {trace.response_preview ?? '–'}
              </td>
              <td className="number">{took === null ? '–' : duration(took)}</td>
              <td className="number">{number(tokensOf(trace))}</td>
              <td className="short" title={ownTags(trace).join('\n')}>
                {ownTags(trace).join(' ') || '–'}
              </td>
              <td>{names.get(place) ?? place}</td>
              <td>
                <When at={Date.parse(trace.request_time)} />
              </td>
            </tr>
          )
        })}
      </tbody>
    </Table>
  )
}
