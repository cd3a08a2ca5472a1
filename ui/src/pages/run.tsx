// One run: what went in, what came out, and the curve of each metric.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { artifacts, metricHistory, run as runQuery } from '../api/queries'
import type { KeyValue, Metric, Run } from '../api/types'
import { Badge } from '../parts/badge'
import { Chart } from '../parts/chart'
import { Empty, Loaded } from '../parts/state'
import { Facts, Table } from '../parts/table'
import { useNow, When } from '../parts/when'
import { bytes, count, dateTime, duration, exact, number } from '../words/format'
import { RUN_STATUSES } from '../words/loop'
import { curveOf, durationOf, nameOf } from '../words/runs'
import { useTitle } from './shell'

const route = getRouteApi('/runs/$runId')

export function RunPage() {
  const { runId } = route.useParams()
  const asked = useQuery(runQuery(runId))
  return (
    <section className="page">
      <nav className="crumbs" aria-label="You are here">
        <Link to="/runs">Runs</Link> /
      </nav>
      <Loaded query={asked}>{(run) => <RunView run={run} />}</Loaded>
    </section>
  )
}

function RunView({ run }: { run: Run }) {
  const { info, data } = run
  useTitle(nameOf(run))
  const now = useNow()
  const took = durationOf(run, now)
  const tags = data?.tags ?? []
  const own = tags.filter(({ key }) => !key.startsWith('mlflow.'))
  const system = tags.filter(({ key }) => key.startsWith('mlflow.'))
  return (
    <>
      <div className="page-head">
        <h1>{nameOf(run)}</h1>
        <Badge of={RUN_STATUSES[info.status]} />
        <Link to="/lineage" search={{ of: `run/${info.run_id}` }} className="button">
          Lineage
        </Link>
      </div>
      <Facts
        of={[
          ['Run id', <code key="id">{info.run_id}</code>],
          ['Experiment', <Link key="experiment" to="/runs" search={{ experiment: info.experiment_id }}>{info.experiment_id}</Link>],
          ['Started', info.start_time ? <When key="start" at={info.start_time} /> : '–'],
          ['Duration', took === null ? '–' : duration(took)],
          ...(info.user_id ? ([['User', info.user_id]] as [string, string][]) : []),
        ]}
      />
      <div className="grid">
        <section className="card wide" aria-labelledby="metrics-title">
          <h2 id="metrics-title">Metrics</h2>
          {data?.metrics?.length ? (
            <Metrics run={run} metrics={data.metrics} />
          ) : (
            <Empty title="No metric logged." command={'mlflow.log_metric("rmse", 61.8)'} />
          )}
        </section>
        <section className="card" aria-labelledby="params-title">
          <h2 id="params-title">Params</h2>
          {data?.params?.length ? <Pairs label="Params" of={data.params} /> : <p className="soft">None logged.</p>}
        </section>
        <section className="card" aria-labelledby="tags-title">
          <h2 id="tags-title">Tags</h2>
          {own.length > 0 ? <Pairs label="Tags" of={own} /> : <p className="soft">None set.</p>}
          {system.length > 0 && (
            <details>
              <summary>{count(system.length, 'tag')} set by the client</summary>
              <Pairs label="Tags set by the client" of={system} />
            </details>
          )}
        </section>
        <Artifacts run={run} />
      </div>
    </>
  )
}

function Pairs({ label, of }: { label: string; of: KeyValue[] }) {
  return (
    <Table label={label}>
      <tbody>
        {of
          .toSorted((a, b) => a.key.localeCompare(b.key))
          .map(({ key, value }) => (
            <tr key={key}>
              <th scope="row">{key}</th>
              <td className="value">{value}</td>
            </tr>
          ))}
      </tbody>
    </Table>
  )
}

function Metrics({ run, metrics }: { run: Run; metrics: Metric[] }) {
  const { metric: wanted, x = 'step' } = route.useSearch()
  const sorted = metrics.toSorted((a, b) => a.key.localeCompare(b.key))
  const chosen = sorted.find(({ key }) => key === wanted)?.key ?? sorted[0]?.key ?? ''
  return (
    <div className="metrics">
      <Table label="Metrics">
        <thead>
          <tr>
            <th scope="col">Metric</th>
            <th scope="col" className="number">
              Value
            </th>
            <th scope="col" className="number">
              Step
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ key, value, step }) => (
            <tr key={key} className={key === chosen ? 'chosen' : undefined}>
              <th scope="row">
                <Link
                  to="/runs/$runId"
                  params={{ runId: run.info.run_id }}
                  search={(old) => ({ ...old, metric: key })}
                  aria-current={key === chosen ? 'true' : undefined}
                  replace
                  resetScroll={false}
                >
                  {key}
                </Link>
              </th>
              <td className="number" data-metric={key}>
                {exact(value)}
              </td>
              <td className="number">{step ?? 0}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      <History run={run} metric={chosen} along={x} />
    </div>
  )
}

const ROWS_SHOWN = 200

function History({ run, metric, along }: { run: Run; metric: string; along: 'step' | 'time' }) {
  const asked = useQuery(metricHistory(run.info.run_id, metric, run.info.status === 'RUNNING'))
  return (
    <div className="history">
      <Loaded query={asked}>
        {({ points, complete }) => (
          <>
            <Curve metric={metric} points={points} along={along} />
            <p className="soft history-note">
              {count(points.length, 'value')}
              {complete ? '' : ', the first ones only'}; along{' '}
              {(['step', 'time'] as const).map((name) => (
                <Link
                  key={name}
                  to="/runs/$runId"
                  params={{ runId: run.info.run_id }}
                  search={(old) => ({ ...old, x: name === 'time' ? name : undefined })}
                  aria-current={name === along ? 'true' : undefined}
                  className="choice"
                  replace
                  resetScroll={false}
                >
                  {name}
                </Link>
              ))}
            </p>
            <details>
              <summary>The same as numbers</summary>
              {points.length > ROWS_SHOWN && <p className="soft">The last {ROWS_SHOWN}:</p>}
              <Table label={`History of ${metric}`}>
                <thead>
                  <tr>
                    <th scope="col" className="number">
                      Step
                    </th>
                    <th scope="col" className="number">
                      {metric}
                    </th>
                    <th scope="col">Logged</th>
                  </tr>
                </thead>
                <tbody>
                  {points.slice(-ROWS_SHOWN).map(({ step, value, timestamp }, index) => (
                    <tr key={index}>
                      <td className="number">{step ?? 0}</td>
                      <td className="number">{exact(value)}</td>
                      <td>{dateTime(timestamp)}</td>
                    </tr>
                  ))}
                </tbody>
              </Table>
            </details>
          </>
        )}
      </Loaded>
    </div>
  )
}

function Curve({ metric, points, along }: { metric: string; points: Metric[]; along: 'step' | 'time' }) {
  const { x, y } = useMemo(() => curveOf(points, along), [points, along])
  const series = useMemo(() => [{ name: metric, values: y, line: 1 as const }], [metric, y])
  return <Chart label={metric} x={x} axis={along === 'time' ? 'local' : 'number'} series={series} height={240} show={number} />
}

function Artifacts({ run }: { run: Run }) {
  const { path = '' } = route.useSearch()
  const { run_id: runId } = run.info
  const asked = useQuery(artifacts(runId, path))
  const folders = path === '' ? [] : path.split('/')
  return (
    <section className="card wide" aria-labelledby="artifacts-title">
      <h2 id="artifacts-title">Artifacts</h2>
      {folders.length > 0 && (
        <nav className="crumbs" aria-label="Folder">
          <Folder runId={runId} path={undefined} name="all" />
          {folders.map((name, depth) => (
            <span key={name}>
              {' / '}
              <Folder runId={runId} path={folders.slice(0, depth + 1).join('/')} name={name} />
            </span>
          ))}
        </nav>
      )}
      <Loaded query={asked}>
        {({ files = [], root_uri }) => (
          <>
            {files.length === 0 ? (
              <Empty title="No file logged." command={'mlflow.log_artifact("report.html")'} />
            ) : (
              <Table label="Artifacts">
                <tbody>
                  {files.map((file) => {
                    const name = file.path.slice(file.path.lastIndexOf('/') + 1)
                    return (
                      <tr key={file.path}>
                        <th scope="row">{file.is_dir ? <Folder runId={runId} path={file.path} name={`${name}/`} /> : name}</th>
                        <td className="number">{file.is_dir ? 'folder' : bytes(file.file_size ?? 0)}</td>
                      </tr>
                    )
                  })}
                </tbody>
              </Table>
            )}
            {root_uri && (
              <p className="soft value">
                <code>{root_uri}</code>
              </p>
            )}
          </>
        )}
      </Loaded>
    </section>
  )
}

function Folder({ runId, path, name }: { runId: string; path: string | undefined; name: string }) {
  return (
    <Link to="/runs/$runId" params={{ runId }} search={(old) => ({ ...old, path })} resetScroll={false}>
      {name}
    </Link>
  )
}
