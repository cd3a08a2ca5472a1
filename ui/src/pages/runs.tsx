// Runs across experiments, with the columns, the order and the filter of the URL.

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { experiments, runs } from '../api/queries'
import type { Experiment, Run } from '../api/types'
import { Badge } from '../parts/badge'
import { Empty, Failed, Loaded, Loading } from '../parts/state'
import { Table } from '../parts/table'
import { useNow, When } from '../parts/when'
import { count, duration, exact, number } from '../words/format'
import { RUN_STATUSES } from '../words/loop'
import { durationOf, keysOf, metricOf, nameOf, orderBy, paramOf } from '../words/runs'
import { useTitle } from './shell'

const route = getRouteApi('/runs')
const START = 'attributes.start_time'
const METRICS_USUAL = 4
const PARAMS_USUAL = 3

export function RunsPage() {
  useTitle('Runs')
  const found = useQuery(experiments)
  return (
    <section className="page">
      <h1>Runs</h1>
      <Loaded query={found}>{(all) => <RunsOf experiments={all} />}</Loaded>
    </section>
  )
}

function RunsOf({ experiments: all }: { experiments: Experiment[] }) {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const ids = search.experiment ? [search.experiment] : all.map(({ experiment_id }) => experiment_id)
  const order = [orderBy(search.by ?? START, search.order ?? 'desc')]
  const asked = useInfiniteQuery(runs(ids, search.filter ?? '', order))
  const rows = useMemo(() => asked.data?.pages.flatMap((page) => page.runs ?? []) ?? [], [asked.data])
  const names = new Map(all.map(({ experiment_id, name }) => [experiment_id, name]))
  const keys = { metrics: keysOf(rows, 'metrics'), params: keysOf(rows, 'params') }
  const metrics = search.metrics ?? keys.metrics.slice(0, METRICS_USUAL)
  const params = search.params ?? keys.params.slice(0, PARAMS_USUAL)

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
              placeholder="Filter: metrics.rmse < 70 AND params.seed = '1'"
              spellCheck={false}
              autoComplete="off"
            />
          </label>
          <button type="submit">Filter</button>
        </form>
        <details className="picker">
          <summary>Columns</summary>
          <div className="picker-box">
            <Picker
              title="Metrics"
              keys={keys.metrics}
              chosen={metrics}
              choose={(chosen) => navigate({ search: (old) => ({ ...old, metrics: chosen }), replace: true })}
            />
            <Picker
              title="Params"
              keys={keys.params}
              chosen={params}
              choose={(chosen) => navigate({ search: (old) => ({ ...old, params: chosen }), replace: true })}
            />
          </div>
        </details>
      </div>
      {asked.isPending && asked.isEnabled && <Loading />}
      {asked.error && <Failed error={asked.error} />}
      {asked.data && rows.length === 0 && <NoRuns filtered={Boolean(search.filter || search.experiment)} />}
      {rows.length > 0 && (
        <>
          <RunTable rows={rows} names={names} metrics={metrics} params={params} />
          <p className="more">
            <span className="soft">
              {count(rows.length, 'run')}
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

function NoRuns({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No run matches." />
  ) : (
    <Empty title="No run yet." command={'lathe run\n# or, from any program that logs with the mlflow client:\nexport MLFLOW_TRACKING_URI=' + location.origin}>
      A run is one tracked execution: its params, metrics and files.
    </Empty>
  )
}

interface PickerProps {
  title: string
  keys: string[]
  chosen: string[]
  choose: (chosen: string[]) => void
}

function Picker({ title, keys, chosen, choose }: PickerProps) {
  // A column of the URL that no loaded run has can still be taken away.
  const all = [...keys, ...chosen.filter((key) => !keys.includes(key))]
  return (
    <fieldset>
      <legend>{title}</legend>
      {all.length === 0 && <span className="soft">none logged</span>}
      {all.map((key) => (
        <label key={key}>
          <input
            type="checkbox"
            checked={chosen.includes(key)}
            onChange={({ target }) => choose(target.checked ? [...chosen, key] : chosen.filter((other) => other !== key))}
          />
          {key}
        </label>
      ))}
    </fieldset>
  )
}

interface RunTableProps {
  rows: Run[]
  names: Map<string, string>
  metrics: string[]
  params: string[]
}

function RunTable({ rows, names, metrics, params }: RunTableProps) {
  const now = useNow()
  return (
    <Table label="Runs">
      <thead>
        <tr>
          <Column by="attributes.run_name">Run</Column>
          <Column by="attributes.status">Status</Column>
          {metrics.map((key) => (
            <Column key={key} by={`metrics.${key}`} numeric>
              {key}
            </Column>
          ))}
          {params.map((key) => (
            <Column key={key} by={`params.${key}`}>
              {key}
            </Column>
          ))}
          <th scope="col">Experiment</th>
          <th scope="col" className="number">
            Duration
          </th>
          <Column by={START}>Started</Column>
        </tr>
      </thead>
      <tbody>
        {rows.map((run) => {
          const { info } = run
          const took = durationOf(run, now)
          return (
            <tr key={info.run_id} data-run={info.run_id}>
              <th scope="row">
                <Link to="/runs/$runId" params={{ runId: info.run_id }}>
                  {nameOf(run)}
                </Link>
              </th>
              <td>
                <Badge of={RUN_STATUSES[info.status]} />
              </td>
              {metrics.map((key) => {
                const metric = metricOf(run, key)
                return (
                  <td key={key} className="number" title={metric && exact(metric.value)} data-metric={key}>
                    {number(metric?.value)}
                  </td>
                )
              })}
              {params.map((key) => (
                <td key={key} className="short" title={paramOf(run, key)}>
                  {paramOf(run, key) ?? '–'}
                </td>
              ))}
              <td>{names.get(info.experiment_id) ?? info.experiment_id}</td>
              <td className="number">{took === null ? '–' : duration(took)}</td>
              <td>{info.start_time ? <When at={info.start_time} /> : '–'}</td>
            </tr>
          )
        })}
      </tbody>
    </Table>
  )
}

/** A head that sorts by its column, and turns the order when it does already. */
function Column({ by, numeric, children }: { by: string; numeric?: boolean; children: string }) {
  const search = route.useSearch()
  const sorted = (search.by ?? START) === by
  const order = search.order ?? 'desc'
  const next = sorted && order === 'desc' ? ('asc' as const) : undefined
  const word = order === 'asc' ? ('ascending' as const) : ('descending' as const)
  return (
    <th scope="col" className={numeric ? 'number' : undefined} aria-sort={sorted ? word : undefined}>
      <Link to="/runs" search={(old) => ({ ...old, by, order: next })} replace resetScroll={false}>
        {children}
        {sorted && <span aria-hidden="true">{order === 'asc' ? ' ↑' : ' ↓'}</span>}
      </Link>
    </th>
  )
}
