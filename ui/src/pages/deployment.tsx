// One deployment: who answers, every rollout with its reason, every window with its columns, every alert with its evidence.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import { alerts, deployment as deploymentQuery, rollouts, windows } from '../api/queries'
import type { Alert, ColumnSummary, ColumnVerdict, Deployment, Rollout, Window } from '../api/types'
import { AlertDetails, AlertHead } from '../parts/alert'
import { Badge } from '../parts/badge'
import { Histograms } from '../parts/histograms'
import { Prose } from '../parts/prose'
import { Split } from '../parts/split'
import { Empty, Loaded } from '../parts/state'
import { Steps } from '../parts/steps'
import { Strip, StripKey } from '../parts/strip'
import { Facts, Table } from '../parts/table'
import { When } from '../parts/when'
import { WindowCharts } from '../parts/window_charts'
import { count, duration, number, percent, period, pValue } from '../words/format'
import { ALERT_STATES, answersInWords, driftInWords, foremost, OUTCOMES, outcomeOf, ROLLOUT_STATES, stepInWords } from '../words/loop'
import { useTitle } from './shell'

const route = getRouteApi('/deployments/$name')

export function DeploymentPage() {
  const { name } = route.useParams()
  useTitle(name)
  const asked = useQuery(deploymentQuery(name))
  return (
    <section className="page">
      <nav className="crumbs" aria-label="You are here">
        <Link to="/">Loop</Link> /
      </nav>
      <h1>{name}</h1>
      <Loaded query={asked}>{(deployment) => <DeploymentView deployment={deployment} />}</Loaded>
    </section>
  )
}

function DeploymentView({ deployment }: { deployment: Deployment }) {
  const { name } = deployment
  const found = useQuery(alerts(name))
  return (
    <div className="stack">
      <section className="card" aria-labelledby="split-title">
        <h2 id="split-title">Who answers</h2>
        <p className="lead">{answersInWords(deployment)}</p>
        {deployment.targets.length > 0 ? (
          <Split deployment={deployment} />
        ) : (
          <Empty title="No version has passed its gate yet." command={`lathe run\nlathe deploy ${name}`} />
        )}
        {deployment.rollout && <Steps deployment={deployment} rollout={deployment.rollout} />}
        <Declared deployment={deployment} />
      </section>
      <WindowsOf name={name} alerts={found.data ?? []} />
      <Loaded query={found}>{(all) => <Alerts all={all} />}</Loaded>
      <Rollouts deployment={deployment} />
    </div>
  )
}

function Declared({ deployment: { spec, previous, updated_at } }: { deployment: Deployment }) {
  const model = /^models:\/([^@]+)@/.exec(spec.model)?.[1]
  return (
    <Facts
      of={[
        [
          'Serves',
          model ? (
            <Link key="model" to="/models/$name" params={{ name: model }}>
              <code>{spec.model}</code>
            </Link>
          ) : (
            <code key="model">{spec.model}</code>
          ),
        ],
        ['Rollout', spec.rollout.map(stepInWords).join(' → ') || 'at once'],
        ['Rolls back when', spec.abort ? <code key="abort">{spec.abort}</code> : 'a person says so'],
        ['Judges a step from', count(spec.min_requests, 'request')],
        ['Before', previous === null ? 'nothing' : `version ${previous}`],
        ['Changed', <When key="changed" at={updated_at} />],
      ]}
    />
  )
}

function Rollouts({ deployment }: { deployment: Deployment }) {
  const asked = useQuery(rollouts(deployment.name))
  return (
    <section className="card" aria-labelledby="rollouts-title">
      <h2 id="rollouts-title">Rollouts</h2>
      <Loaded query={asked}>
        {(all) =>
          all.length === 0 ? (
            <Empty title="No rollout yet." command={`lathe deploy ${deployment.name}`} />
          ) : (
            <Table label="Rollouts, newest first">
              <thead>
                <tr>
                  <th scope="col">Versions</th>
                  <th scope="col">State</th>
                  <th scope="col">Step</th>
                  <th scope="col">Started</th>
                  <th scope="col" className="number">
                    Took
                  </th>
                  <th scope="col">Why</th>
                </tr>
              </thead>
              <tbody>
                {all.map((rollout) => (
                  <RolloutRow key={rollout.id} rollout={rollout} steps={deployment.spec.rollout} />
                ))}
              </tbody>
            </Table>
          )
        }
      </Loaded>
    </section>
  )
}

function RolloutRow({ rollout, steps }: { rollout: Rollout; steps: Deployment['spec']['rollout'] }) {
  const step = steps[rollout.step]
  return (
    <tr>
      <th scope="row">
        {rollout.from_version} → {rollout.to_version}
      </th>
      <td>
        <Badge of={ROLLOUT_STATES[rollout.state]} />
      </td>
      <td>{step ? stepInWords(step) : '–'}</td>
      <td>
        <When at={rollout.started_at} />
      </td>
      <td className="number">{rollout.finished_at === null ? '–' : duration(rollout.finished_at - rollout.started_at)}</td>
      <td className="reason">
        <Prose text={rollout.reason ?? '–'} />
      </td>
    </tr>
  )
}

function Alerts({ all }: { all: Alert[] }) {
  const { alert: chosen } = route.useSearch()
  const found = useRef<HTMLDetailsElement>(null)
  useEffect(() => {
    if (chosen !== undefined) found.current?.scrollIntoView({ block: 'start' })
  }, [chosen])
  return (
    <section className="card" aria-labelledby="alerts-title">
      <h2 id="alerts-title">Alerts</h2>
      {all.length === 0 && <p className="soft">None so far: no window was out of its limits for long enough.</p>}
      {all.map((alert, index) => {
        const isChosen = alert.id === chosen
        return (
          <details
            key={alert.id}
            ref={isChosen ? found : undefined}
            className="alert-entry"
            open={isChosen || (chosen === undefined && index === 0)}
          >
            <summary>
              <span className="visually-hidden">Alert {alert.id}: </span>
              <Badge of={ALERT_STATES[alert.state]} /> <Prose text={alert.summary} />
            </summary>
            <AlertHead alert={alert} titled />
            <AlertDetails alert={alert} />
          </details>
        )
      })}
    </section>
  )
}

function WindowsOf({ name, alerts: all }: { name: string; alerts: Alert[] }) {
  const search = route.useSearch()
  const errorBefore = foremost(all)?.diagnosis.error_before
  // An alert that is looked at shows the window that opened it.
  const wanted = search.window ?? all.find(({ id }) => id === search.alert)?.window_start
  const asked = useQuery(windows(name))
  return (
    <section className="card" aria-labelledby="windows-title">
      <h2 id="windows-title">Windows</h2>
      <Loaded query={asked}>
        {(newestFirst) => {
          const chosen =
            newestFirst.find(({ start }) => start === wanted) ??
            (wanted === undefined ? (newestFirst.find(({ drift }) => drift) ?? newestFirst[0]) : undefined)
          if (newestFirst.length === 0) return <Empty title="No window yet: the first one begins with the first answered request." />
          const oldestFirst = newestFirst.toReversed()
          return (
            <>
              <Strip windows={oldestFirst} chosen={chosen?.start} />
              <StripKey />
              <WindowCharts windows={oldestFirst} errorBefore={errorBefore} />
              {chosen ? <OneWindow window={chosen} /> : <p className="soft">The window asked for is not among the newest 100.</p>}
              <details>
                <summary>All windows as a table</summary>
                <WindowTable windows={newestFirst} />
              </details>
            </>
          )
        }}
      </Loaded>
    </section>
  )
}

function WindowTable({ windows: all }: { windows: Window[] }) {
  return (
    <Table label="Windows, newest first">
      <thead>
        <tr>
          <th scope="col">Window (UTC)</th>
          <th scope="col">Outcome</th>
          <th scope="col">Moved</th>
          <th scope="col" className="number">
            Error
          </th>
          <th scope="col" className="number">
            Labelled
          </th>
          <th scope="col" className="number">
            Rows
          </th>
          <th scope="col" className="number">
            Version
          </th>
        </tr>
      </thead>
      <tbody>
        {all.map((window) => (
          <tr key={window.start}>
            <th scope="row">
              <Link
                to="/deployments/$name"
                params={{ name: window.deployment }}
                search={(old) => ({ ...old, window: window.start })}
                resetScroll={false}
              >
                {period(window.start, window.end)}
              </Link>
            </th>
            <td>
              <Badge of={OUTCOMES[outcomeOf(window)]} />
            </td>
            <td>{window.drift ? driftInWords(window) : '–'}</td>
            <td className="number">
              {window.performance ? `${window.performance.metric} ${number(window.performance.value, 4)}` : '–'}
            </td>
            <td className="number">{window.performance ? percent(window.performance.coverage) : '–'}</td>
            <td className="number">{window.rows}</td>
            <td className="number">{window.version}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  )
}

function OneWindow({ window }: { window: Window }) {
  const { drift, performance } = window
  return (
    <section className="one-window" aria-labelledby="window-title" data-window={window.start}>
      <h3 id="window-title">
        {period(window.start, window.end)} <Badge of={OUTCOMES[outcomeOf(window)]} />
      </h3>
      <Facts
        of={[
          ['Rows', String(window.rows)],
          ['Answered by', `version ${window.version}`],
          ['Moved', drift ? driftInWords(window) : 'not judged yet'],
          ...(drift ? ([['Drift when', `${percent(drift.share_threshold)} of the columns move`], ['Compared with', drift.reference]] as [string, string][]) : []),
          ...Object.entries(performance?.metrics ?? {}).map(([name, value]): [string, string] => [name, number(value, 5)]),
          ...(performance ? ([['Labelled', `${performance.labelled} (${percent(performance.coverage)})`]] as [string, string][]) : []),
        ]}
      />
      {drift && <Columns window={window} columns={drift.columns} reference={drift.reference} />}
    </section>
  )
}

function Columns({ window, columns, reference }: { window: Window; columns: ColumnVerdict[]; reference: string }) {
  const search = route.useSearch()
  const worst = columns.toSorted((a, b) => severity(b) - severity(a))
  const chosen = columns.find(({ column }) => column === search.column) ?? worst[0]
  return (
    <>
      <Table label="Columns of the window">
        <thead>
          <tr>
            <th scope="col">Column</th>
            <th scope="col">Outcome</th>
            <th scope="col" className="number">
              Score
            </th>
            <th scope="col" className="number">
              Threshold
            </th>
            <th scope="col" className="number">
              p-value
            </th>
            <th scope="col" className="number">
              Without drift
            </th>
            <th scope="col">Measured by</th>
          </tr>
        </thead>
        <tbody>
          {worst.map((verdict) => (
            <tr key={verdict.column} className={verdict === chosen ? 'chosen' : undefined}>
              <th scope="row">
                <Link
                  to="/deployments/$name"
                  params={{ name: window.deployment }}
                  search={(old) => ({ ...old, window: window.start, column: verdict.column })}
                  aria-current={verdict === chosen ? 'true' : undefined}
                  replace
                  resetScroll={false}
                >
                  {verdict.column}
                </Link>
              </th>
              <td>
                <Badge of={OUTCOMES[verdict.outcome]} />
              </td>
              <td className="number">{number(verdict.score, 3)}</td>
              <td className="number">{number(verdict.threshold, 3)}</td>
              <td className="number">{pValue(verdict.p_value)}</td>
              <td className="number">{number(verdict.noise_floor, 2)}</td>
              <td>{verdict.method}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      {chosen && <OneColumn verdict={chosen} reference={reference} />}
    </>
  )
}

/** Drifted columns first, each kind by how far the score is over its threshold. */
function severity({ outcome, score, threshold }: ColumnVerdict): number {
  return (outcome === 'drift' ? 1e6 : 0) + score / (threshold || 1)
}

function OneColumn({ verdict, reference }: { verdict: ColumnVerdict; reference: string }) {
  return (
    <section className="one-column" aria-labelledby="column-title" data-column={verdict.column}>
      <h4 id="column-title">
        {verdict.column} <Badge of={OUTCOMES[verdict.outcome]} />
      </h4>
      <p>
        {verdict.method} <b>{number(verdict.score, 4)}</b> against a threshold of <b>{number(verdict.threshold, 4)}</b>; p-value{' '}
        <b>{pValue(verdict.p_value)}</b> against <b>{number(verdict.alpha, 3)}</b>
        {verdict.reason && <>. {verdict.reason}</>}
      </p>
      {verdict.histogram.length > 0 && <Histograms column={verdict.column} reference={reference} bins={verdict.histogram} />}
      <Table label={`Summary of ${verdict.column}`}>
        <thead>
          <tr>
            <th scope="col">
              <span className="visually-hidden">Side</span>
            </th>
            {['Rows', 'Mean', 'Std', 'Min', 'Max', 'Missing', 'Unseen'].map((name) => (
              <th key={name} scope="col" className="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <SummaryRow name="Reference" of={verdict.reference} />
          <SummaryRow name="Window" of={verdict.window} />
        </tbody>
      </Table>
    </section>
  )
}

function SummaryRow({ name, of }: { name: string; of: ColumnSummary }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td className="number">{of.rows}</td>
      {[of.mean, of.std, of.min, of.max].map((value, index) => (
        <td key={index} className="number">
          {number(value, 4)}
        </td>
      ))}
      <td className="number">{percent(of.missing_share)}</td>
      <td className="number">{percent(of.unseen_share)}</td>
    </tr>
  )
}
