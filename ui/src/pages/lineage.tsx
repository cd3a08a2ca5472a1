// The way back from an answer, a run or a model version to data, environment and commit.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { lineage } from '../api/queries'
import type { LineageGraph, LineageNode } from '../api/types'
import { Go } from '../parts/go'
import { Empty, Loaded } from '../parts/state'
import { Facts } from '../parts/table'
import { count } from '../words/format'
import { draw, layersOf, NODE, pageOf } from '../words/lineage'
import { useTitle } from './shell'

const route = getRouteApi('/lineage')

export function LineagePage() {
  useTitle('Lineage')
  const { of = '' } = route.useSearch()
  const navigate = route.useNavigate()
  const asked = useQuery(lineage(of))
  return (
    <section className="page">
      <h1>Lineage</h1>
      <form
        className="bar"
        role="search"
        onSubmit={(event) => {
          event.preventDefault()
          const wanted = String(new FormData(event.currentTarget).get('of') ?? '').trim()
          void navigate({ search: { of: wanted || undefined } })
        }}
      >
        <label className="grow">
          Where does this come from?{' '}
          <input key={of} name="of" defaultValue={of} placeholder="a prediction id, run/ID or model/NAME/VERSION" spellCheck={false} autoComplete="off" />
        </label>
        <button type="submit">Show</button>
      </form>
      {of === '' && (
        <Empty title="Ask for a prediction, a run or a model version." command="lathe lineage PREDICTION_ID">
          Every answer of a deployment carries its prediction id. <Link to="/runs">Runs</Link> and <Link to="/models">models</Link> link
          here too.
        </Empty>
      )}
      <Loaded query={asked}>{(graph) => <Graph of={of} graph={graph} />}</Loaded>
    </section>
  )
}

function Graph({ of, graph }: { of: string; graph: LineageGraph }) {
  const { node: wanted } = route.useSearch()
  const chosen = graph.nodes.find(({ id }) => id === wanted)
  if (graph.nodes.length === 0) return <Empty title="Nothing is known of where it comes from." />
  return (
    <div className="stack">
      <section className="card" aria-labelledby="graph-title">
        <h2 id="graph-title">
          {count(graph.nodes.length, 'thing')}, {count(graph.edges.length, 'relation')}
        </h2>
        <Picture of={of} graph={graph} chosen={chosen} />
        {chosen && <NodeDetails node={chosen} />}
      </section>
      <section className="card" aria-labelledby="steps-title">
        <h2 id="steps-title">Step by step</h2>
        <ol className="layers">
          {layersOf(graph).map((layer, depth) => (
            <li key={depth}>
              <ul>
                {layer.map((node) => (
                  <Step key={node.id} of={of} node={node} graph={graph} />
                ))}
              </ul>
            </li>
          ))}
        </ol>
      </section>
    </div>
  )
}

/** A picture for eyes and mice; the list below says the same to everybody. */
function Picture({ of, graph, chosen }: { of: string; graph: LineageGraph; chosen: LineageNode | undefined }) {
  const { placed, width, height } = draw(graph)
  const at = new Map(placed.map((place) => [place.node.id, place]))
  return (
    <div className="graph" role="region" aria-label="Lineage, drawn" tabIndex={0}>
      <svg width={width + 4} height={height + 4} viewBox={`-2 -2 ${width + 4} ${height + 4}`} role="img" aria-label={`${count(graph.nodes.length, 'thing')} and how they hang together; listed below`}>
        {graph.edges.map(({ from, to, relation }) => {
          const [a, b] = [at.get(from), at.get(to)]
          if (!a || !b) return null
          const touched = chosen && (from === chosen.id || to === chosen.id)
          return <path key={`${from} ${to} ${relation}`} d={curve(a, b)} className={`edge edge-${relation.replaceAll(' ', '-')}${touched ? ' touched' : ''}`} />
        })}
      </svg>
      {placed.map(({ node, x, y }) => (
        <Link
          key={node.id}
          to="/lineage"
          search={{ of, node: node.id }}
          className={`node kind-${node.kind.replaceAll(' ', '-')}`}
          style={{ left: x + 2, top: y + 2, width: NODE.width, height: NODE.height }}
          title={node.title}
          aria-current={node === chosen ? 'true' : undefined}
          replace
          resetScroll={false}
        >
          <small>{node.kind}</small>
          <span>{node.title}</span>
        </Link>
      ))}
    </div>
  )
}

function curve(a: { x: number; y: number }, b: { x: number; y: number }): string {
  const [x1, y1] = [a.x + NODE.width, a.y + NODE.height / 2]
  const [x2, y2] = [b.x, b.y + NODE.height / 2]
  const bend = Math.max(24, (x2 - x1) / 2)
  return `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`
}

function NodeDetails({ node }: { node: LineageNode }) {
  const page = pageOf(node)
  return (
    <section className="node-details" aria-labelledby="node-title">
      <h3 id="node-title">
        {node.kind}: {node.title}
      </h3>
      {page && (
        <p>
          <Go to={page}>Its page</Go>
        </p>
      )}
      <Details of={node.details} />
    </section>
  )
}

function Details({ of }: { of: unknown }) {
  if (typeof of !== 'object' || of === null || Array.isArray(of)) {
    return of === null || of === undefined ? null : <pre className="json">{JSON.stringify(of, null, 2)}</pre>
  }
  const given = Object.entries(of).filter(([, value]) => value !== null && value !== undefined)
  return (
    <Facts
      of={given.map(([name, value]) => [
        name,
        typeof value === 'object' ? (
          <pre key={name} className="json" tabIndex={0}>
            {JSON.stringify(value, null, 2)}
          </pre>
        ) : (
          String(value)
        ),
      ])}
    />
  )
}

function Step({ of, node, graph }: { of: string; node: LineageNode; graph: LineageGraph }) {
  const titles = new Map(graph.nodes.map(({ id, title }) => [id, title]))
  const leads = graph.edges.filter(({ from }) => from === node.id)
  const page = pageOf(node)
  return (
    <li data-node={node.id}>
      <span className={`node-kind kind-${node.kind.replaceAll(' ', '-')}`}>{node.kind}</span>{' '}
      <b>{page ? <Go to={page}>{node.title}</Go> : node.title}</b>
      {leads.length > 0 && (
        <ul className="leads">
          {leads.map(({ to, relation }) => (
            <li key={`${relation} ${to}`}>
              <span className="soft">{relation}</span>{' '}
              <Link to="/lineage" search={{ of, node: to }} replace resetScroll={false}>
                {titles.get(to) ?? to}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}
