// One trace: its spans along time, and what the chosen one was asked, answered and carried.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo, useState, type ReactNode } from 'react'
import { span as spanQuery, spanTree, trace as traceQuery } from '../api/queries'
import type { Assessment, SpanHead, SpanTree, TraceInfo } from '../api/types'
import { Badge } from '../parts/badge'
import { Empty, Loaded } from '../parts/state'
import { Facts, Table } from '../parts/table'
import { When } from '../parts/when'
import { count, duration, number } from '../words/format'
import { barOf, durationMs, rowsOf, said, tokensOf, totalOf, TRACE_STATES, traceName } from '../words/traces'
import { useTitle } from './shell'

const route = getRouteApi('/traces/$traceId')
/** More rows than these are drawn only when asked for: a trace may have tens of thousands. */
const ROWS_AT_ONCE = 500

export function TracePage() {
  const { traceId } = route.useParams()
  const asked = useQuery(traceQuery(traceId))
  return (
    <section className="page">
      <nav className="crumbs" aria-label="You are here">
        <Link to="/traces">Traces</Link> /
      </nav>
      <Loaded query={asked}>{(trace) => <TraceView trace={trace} />}</Loaded>
    </section>
  )
}

function TraceView({ trace }: { trace: TraceInfo }) {
  useTitle(traceName(trace))
  const place = trace.trace_location.mlflow_experiment?.experiment_id
  const run = trace.trace_metadata?.['mlflow.sourceRun']
  const session = trace.trace_metadata?.['mlflow.trace.session']
  const took = durationMs(trace.execution_duration)
  const tokens = tokensOf(trace)
  const spans = useQuery(spanTree(trace.trace_id, trace.state === 'IN_PROGRESS'))
  return (
    <>
      <div className="page-head">
        <h1>{traceName(trace)}</h1>
        <Badge of={TRACE_STATES[trace.state]} />
      </div>
      <Facts
        of={[
          ['Trace id', <code key="id">{trace.trace_id}</code>],
          ['Experiment', place ? <Link key="place" to="/traces" search={{ experiment: place }}>{place}</Link> : '–'],
          ['Started', <When key="start" at={Date.parse(trace.request_time)} />],
          ['Duration', took === null ? '–' : duration(took)],
          ...(tokens === null ? [] : ([['Tokens', number(tokens)]] as [string, string][])),
          ...(run ? ([['Run', <Link key="run" to="/runs/$runId" params={{ runId: run }}>{run.slice(0, 8)}</Link>]] as [string, ReactNode][]) : []),
          ...(session
            ? ([['Session', <Link key="session" to="/traces" search={{ filter: `metadata.\`mlflow.trace.session\` = '${session.replaceAll("'", "''")}'` }}>{session}</Link>]] as [string, ReactNode][])
            : []),
        ]}
      />
      <div className="grid">
        <Loaded query={spans}>{(tree) => <Spans trace={trace} tree={tree} />}</Loaded>
        <Assessments of={trace.assessments ?? []} />
        <section className="card" aria-labelledby="trace-tags-title">
          <h2 id="trace-tags-title">Tags and metadata</h2>
          <Pairs label="Tags and metadata" of={{ ...trace.trace_metadata, ...trace.tags }} />
        </section>
      </div>
    </>
  )
}

function Spans({ trace, tree }: { trace: TraceInfo; tree: SpanTree }) {
  const { span: wanted } = route.useSearch()
  const [shown, setShown] = useState(ROWS_AT_ONCE)
  const rows = useMemo(() => rowsOf(tree.spans), [tree.spans])
  const total = useMemo(() => totalOf(tree.spans), [tree.spans])
  const chosen = rows.find(({ span }) => span.span_id === wanted)?.span ?? rows[0]?.span
  if (!chosen) {
    return (
      <section className="card wide" aria-labelledby="spans-title">
        <h2 id="spans-title">Spans</h2>
        <Empty title="No span is here.">The trace keeps them with its artifacts, or they are still on their way.</Empty>
      </section>
    )
  }
  return (
    <>
      <section className="card wide" aria-labelledby="spans-title">
        <h2 id="spans-title">
          Spans <span className="soft">{count(rows.length, 'span')}</span>
        </h2>
        <div className="waterfall" role="region" aria-label="Spans along time" tabIndex={0}>
          <ol>
            {rows.slice(0, shown).map(({ span, depth }) => (
              <SpanRow key={span.span_id} trace={trace} span={span} depth={depth} total={total} chosen={span === chosen} />
            ))}
          </ol>
        </div>
        {(shown < rows.length || tree.more) && (
          <p className="more">
            <span className="soft">{tree.more ? 'The trace has more spans than this page lists.' : `${shown} of ${rows.length}`}</span>
            {shown < rows.length && (
              <button type="button" onClick={() => setShown(shown + ROWS_AT_ONCE)}>
                Show more
              </button>
            )}
          </p>
        )}
      </section>
      <SpanCard trace={trace.trace_id} span={chosen} />
    </>
  )
}

interface SpanRowProps {
  trace: TraceInfo
  span: SpanHead
  depth: number
  total: number
  chosen: boolean
}

function SpanRow({ trace, span, depth, total, chosen }: SpanRowProps) {
  const { left, width } = barOf(span, total)
  const took = span.duration_us === null ? 'in progress' : duration(span.duration_us / 1_000)
  return (
    <li className={chosen ? 'chosen' : undefined} data-span={span.span_id}>
      <Link
        to="/traces/$traceId"
        params={{ traceId: trace.trace_id }}
        search={{ span: span.span_id }}
        aria-current={chosen ? 'true' : undefined}
        replace
        resetScroll={false}
      >
        <span className="span-name" style={{ paddingInlineStart: `${Math.min(depth, 24) * 14}px` }}>
          {span.status === 'ERROR' && <span title="error">✕ </span>}
          {span.name} <small className="soft">{span.kind === 'UNKNOWN' ? '' : span.kind.toLowerCase()}</small>
        </span>
        <span className="span-track" aria-hidden="true">
          <i className={span.status === 'ERROR' ? 'bad' : undefined} style={{ left: `${left * 100}%`, width: `${width * 100}%` }} />
        </span>
        <span className="span-time number">{took}</span>
      </Link>
    </li>
  )
}

const INPUTS = 'mlflow.spanInputs'
const OUTPUTS = 'mlflow.spanOutputs'

function SpanCard({ trace, span }: { trace: string; span: SpanHead }) {
  const asked = useQuery(spanQuery(trace, span.span_id))
  return (
    <section className="card wide" aria-labelledby="span-title">
      <h2 id="span-title">{span.name}</h2>
      <Loaded query={asked}>
        {({ attributes, events, status }) => {
          const rest = Object.entries(attributes).filter(([key]) => key !== INPUTS && key !== OUTPUTS)
          return (
            <>
              {status.message && <p className="failed">{status.message}</p>}
              <Value title="Inputs" of={attributes[INPUTS]} />
              <Value title="Outputs" of={attributes[OUTPUTS]} />
              {rest.length > 0 && (
                <>
                  <h3>Attributes</h3>
                  <Pairs label="Attributes" of={Object.fromEntries(rest)} />
                </>
              )}
              {events.map((event) => (
                <details key={`${event.name}-${event.time_unix_nano}`}>
                  <summary>Event: {event.name}</summary>
                  <Pairs label={`Event ${event.name}`} of={event.attributes} />
                </details>
              ))}
            </>
          )
        }}
      </Loaded>
    </section>
  )
}

function Value({ title, of }: { title: string; of: unknown }) {
  if (of === undefined) return null
  return (
    <>
      <h3>{title}</h3>
      <pre className="command" tabIndex={0} aria-label={title}>
        <code>{typeof of === 'string' ? of : JSON.stringify(of, null, 2)}</code>
      </pre>
    </>
  )
}

function Assessments({ of }: { of: Assessment[] }) {
  return (
    <section className="card" aria-labelledby="assessments-title">
      <h2 id="assessments-title">Assessments</h2>
      {of.length === 0 ? (
        <Empty title="Nobody has judged it." command={'mlflow.log_feedback(trace_id=…, name="correct", value=True)'} />
      ) : (
        <Table label="Assessments">
          <tbody>
            {of.map((assessment) => (
              <tr key={assessment.assessment_id} className={assessment.valid === false ? 'soft' : undefined}>
                <th scope="row">
                  {assessment.assessment_name} <small className="soft">{assessment.expectation ? 'expected' : (assessment.source?.source_type ?? '').toLowerCase()}</small>
                </th>
                <td className="value">
                  {said(assessment)}
                  {assessment.valid === false && ' (replaced)'}
                  {assessment.rationale && <p className="soft">{assessment.rationale}</p>}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </section>
  )
}

function Pairs({ label, of }: { label: string; of: Record<string, unknown> }) {
  return (
    <Table label={label}>
      <tbody>
        {Object.entries(of)
          .toSorted(([a], [b]) => a.localeCompare(b))
          .map(([key, value]) => (
            <tr key={key}>
              <th scope="row">{key}</th>
              <td className="value">{typeof value === 'string' ? value : JSON.stringify(value)}</td>
            </tr>
          ))}
      </tbody>
    </Table>
  )
}
