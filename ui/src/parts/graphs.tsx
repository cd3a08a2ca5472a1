// Graphs: models that answer together, who each member is, and whether they answer.

import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { graphs } from '../api/queries'
import type { Graph } from '../api/types'
import { kindOf, membersOf, stateOf, togetherInWords, trafficInWords, type GraphMember } from '../words/graphs'
import { EXECUTES_CODE } from '../words/loop'
import { Alias, Badge } from './badge'
import { Prose } from './prose'
import { Table } from './table'
import { When } from './when'

/** Nothing where no graph is declared. */
export function Graphs() {
  const { data = [] } = useQuery(graphs)
  if (data.length === 0) return null
  return (
    <section className="card" aria-labelledby="graphs-title">
      <h2 id="graphs-title">Graphs</h2>
      <p className="lead">Models that answer together under one name.</p>
      {data.map((graph) => (
        <Entry key={graph.name} graph={graph} />
      ))}
    </section>
  )
}

function Entry({ graph }: { graph: Graph }) {
  const { name, missing, version, updated_at, executes_code } = graph
  return (
    <section className="joined" id={`graph-${name}`} aria-labelledby={`graph-${name}-title`} data-graph={name}>
      <div className="card-head">
        <h3 id={`graph-${name}-title`}>{name}</h3>
        <span className="badge tone-plain">{kindOf(graph)}</span>
        <Badge of={stateOf(graph)} />
        {executes_code && <span className="badge tone-warn">{EXECUTES_CODE}</span>}
        <span className="soft push">
          version {version}, <When at={updated_at} />
        </span>
      </div>
      <p>
        <Prose text={togetherInWords(graph)} />
      </p>
      {missing !== null && (
        <p>
          <Prose text={`\`${missing}\` names no version.`} />
        </p>
      )}
      <Table label={`Members of ${name}`}>
        <thead>
          <tr>
            <th scope="col">Asked</th>
            <th scope="col">Member</th>
            <th scope="col" className="number">
              Version
            </th>
          </tr>
        </thead>
        <tbody>
          {membersOf(graph).map((member, index) => (
            <tr key={index}>
              <td>{member.place}</td>
              <th scope="row">
                <Name of={member} />
              </th>
              <td className="number">{member.model?.version ?? '–'}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      <p className="soft">{trafficInWords(graph)}</p>
    </section>
  )
}

function Name({ of: { graph, model } }: { of: GraphMember }) {
  if (graph !== undefined) return <a href={`#graph-${graph}`}>{graph}</a>
  if (!model) return null
  const search = model.version === undefined ? {} : { version: String(model.version) }
  return (
    <>
      <Link to="/models/$name" params={{ name: model.name }} search={search}>
        {model.name}
      </Link>{' '}
      {model.alias !== undefined && <Alias>{model.alias}</Alias>}
    </>
  )
}
