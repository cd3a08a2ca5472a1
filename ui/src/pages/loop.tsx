// The loop at a glance: who answers, what moved, what was done about it, and what happens right now.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { alerts, deployments, events, rollouts, windows } from '../api/queries'
import type { Deployment, LatheEvent } from '../api/types'
import { AlertHead } from '../parts/alert'
import { Feed } from '../parts/feed'
import { Go } from '../parts/go'
import { Graphs } from '../parts/graphs'
import { Split } from '../parts/split'
import { Empty, Loaded } from '../parts/state'
import { Steps } from '../parts/steps'
import { Strip, StripKey } from '../parts/strip'
import { When } from '../parts/when'
import { WindowCharts } from '../parts/window_charts'
import { linkOf, newestByPhase, PHASES, wordsOf, type Phase } from '../words/events'
import { count, period } from '../words/format'
import { answersInWords, driftInWords, foremost, OUTCOMES, outcomeOf } from '../words/loop'
import { useTitle } from './shell'

const route = getRouteApi('/')

export function LoopPage() {
  useTitle('Loop')
  const { deployment: chosen } = route.useSearch()
  const all = useQuery(deployments)
  const feed = useQuery(events)
  return (
    <section className="page">
      <h1>The loop</h1>
      <Loaded query={feed}>{(known) => <Phases feed={known} />}</Loaded>
      <div className="with-side">
        <div className="stack">
          <Loaded query={all}>
            {(found) => {
              const deployment = found.find(({ name }) => name === chosen) ?? found[0]
              if (!deployment) return <NoDeployment />
              return (
                <>
                  {found.length > 1 && <Choice all={found} chosen={deployment} />}
                  <DeploymentCards key={deployment.name} deployment={deployment} />
                </>
              )
            }}
          </Loaded>
          <Graphs />
        </div>
        <section className="card side" aria-labelledby="feed-title">
          <h2 id="feed-title">What happens</h2>
          <Loaded query={feed}>
            {(known) =>
              known.length > 0 ? (
                <Feed events={known} />
              ) : (
                <Empty title="Nothing has happened yet." command="lathe run">
                  Whatever runs, registers, deploys or drifts appears here by itself.
                </Empty>
              )
            }
          </Loaded>
        </section>
      </div>
    </section>
  )
}

const PHASE_NAMES: Record<Phase, string> = {
  run: 'Run',
  gate: 'Gate',
  deploy: 'Deploy',
  monitor: 'Monitor',
  alert: 'Alert',
  retrain: 'Act',
}

/** The parts of the loop, each with the newest that happened there. */
function Phases({ feed }: { feed: LatheEvent[] }) {
  const newest = newestByPhase(feed)
  return (
    <ol className="phases" aria-label="The parts of the loop">
      {PHASES.map((phase) => {
        const event = newest.get(phase)
        const words = event && wordsOf(event)
        const link = event && linkOf(event)
        return (
          <li key={phase} className={words ? `tone-${words.tone}` : 'tone-none'}>
            <span className="phase-name">{PHASE_NAMES[phase]}</span>
            {event && words ? (
              <>
                <span className="phase-title">{link ? <Go to={link}>{words.title}</Go> : words.title}</span>
                <When at={event.at} />
              </>
            ) : (
              <span className="phase-title soft">nothing yet</span>
            )}
          </li>
        )
      })}
    </ol>
  )
}

function NoDeployment() {
  return (
    <div className="card">
      <Empty title="No model is deployed yet." command={'lathe run\nlathe deploy NAME'}>
        Declare <code>[deployment.NAME]</code> in <code>lathe.toml</code>; a run registers a model, its gate judges it, and the
        deployment rolls it out.
      </Empty>
    </div>
  )
}

function Choice({ all, chosen }: { all: Deployment[]; chosen: Deployment }) {
  return (
    <nav className="tabs" aria-label="Deployments">
      {all.map(({ name }) => (
        <Link key={name} to="/" search={{ deployment: name }} aria-current={name === chosen.name ? 'page' : undefined}>
          {name}
        </Link>
      ))}
    </nav>
  )
}

function DeploymentCards({ deployment }: { deployment: Deployment }) {
  const { name } = deployment
  const foundAlerts = useQuery(alerts(name))
  const alert = foremost(foundAlerts.data ?? [])
  return (
    <>
      <section className="card" aria-labelledby="deployment-title">
        <div className="card-head">
          <h2 id="deployment-title">
            <Link to="/deployments/$name" params={{ name }}>
              {name}
            </Link>
          </h2>
          <code className="soft">{deployment.spec.model}</code>
        </div>
        <p className="lead">{answersInWords(deployment)}</p>
        {deployment.targets.length > 0 ? (
          <Split deployment={deployment} />
        ) : (
          <Empty title="No version has passed its gate yet." command={`lathe run\nlathe deploy ${name}`} />
        )}
        <NewestRollout deployment={deployment} />
      </section>
      {alert && (
        <section className={`card alert-card ${alert.state}`} aria-labelledby="alert-title">
          <div className="card-head">
            <h2 id="alert-title">{alert.state === 'resolved' ? 'Last alert' : 'Alert'}</h2>
            <Link to="/deployments/$name" params={{ name }} search={{ alert: alert.id }}>
              evidence and columns
            </Link>
          </div>
          <AlertHead alert={alert} />
        </section>
      )}
      <WindowsCard name={name} errorBefore={alert?.diagnosis.error_before ?? null} />
    </>
  )
}

function NewestRollout({ deployment }: { deployment: Deployment }) {
  const past = useQuery(rollouts(deployment.name))
  const rollout = deployment.rollout ?? past.data?.[0]
  return rollout ? <Steps deployment={deployment} rollout={rollout} /> : null
}

function WindowsCard({ name, errorBefore }: { name: string; errorBefore: number | null }) {
  const asked = useQuery(windows(name))
  return (
    <section className="card" aria-labelledby="windows-title">
      <h2 id="windows-title">Windows</h2>
      <Loaded query={asked}>
        {(newestFirst) => {
          const newest = newestFirst[0]
          if (!newest) return <Empty title="No window yet: the first one begins with the first answered request." />
          const oldestFirst = newestFirst.toReversed()
          const drifted = newestFirst.filter((window) => outcomeOf(window) === 'drift').length
          return (
            <>
              <p className="lead">
                {drifted} of {count(newestFirst.length, 'window')} drifted. Newest, {period(newest.start, newest.end)}:{' '}
                <b>{OUTCOMES[outcomeOf(newest)].word}</b>
                {newest.drift && <>, {driftInWords(newest)}</>}.
              </p>
              <Strip windows={oldestFirst} />
              <StripKey />
              <WindowCharts windows={oldestFirst} errorBefore={errorBefore} />
            </>
          )
        }}
      </Loaded>
    </section>
  )
}
