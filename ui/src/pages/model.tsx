// One model: its versions, who made them, and what its gate said of each, rule by rule.

import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { facts, models, modelVersions, verdicts } from '../api/queries'
import type { GateVerdict, ModelVersion } from '../api/types'
import { Alias, Badge } from '../parts/badge'
import { Prose } from '../parts/prose'
import { Empty, Loaded } from '../parts/state'
import { Table } from '../parts/table'
import { When } from '../parts/when'
import { number } from '../words/format'
import { GATE_OUTCOMES } from '../words/loop'
import { useTitle } from './shell'

const route = getRouteApi('/models/$name')
const SHOWN_FIRST = 10

export function ModelPage() {
  const { name } = route.useParams()
  const search = route.useSearch()
  useTitle(name)
  const asked = useQuery(modelVersions(name))
  const registered = useQuery(models)
  const aliases = registered.data?.find((model) => model.name === name)?.aliases ?? []
  return (
    <section className="page">
      <nav className="crumbs" aria-label="You are here">
        <Link to="/models">Models</Link> /
      </nav>
      <h1>{name}</h1>
      <Loaded query={asked}>
        {(all) => {
          if (all.length === 0) return <Empty title="No version of this model yet." command="lathe run" />
          const place = all.findIndex(({ version }) => version === search.version)
          const shown = Math.max(search.show ?? SHOWN_FIRST, place + 1)
          return (
            <div className="stack">
              {all.slice(0, shown).map((version) => (
                <VersionCard
                  key={version.version}
                  version={version}
                  aliases={namesOf(version, aliases)}
                  chosen={version.version === search.version}
                />
              ))}
              {shown < all.length && (
                <p className="more">
                  <span className="soft">
                    {shown} of {all.length} versions
                  </span>
                  <Link
                    to="/models/$name"
                    params={{ name }}
                    search={(old) => ({ ...old, show: shown + SHOWN_FIRST })}
                    className="button"
                    resetScroll={false}
                  >
                    Older versions
                  </Link>
                </p>
              )}
            </div>
          )
        }}
      </Loaded>
    </section>
  )
}

/** The model knows its aliases at once; a version may carry them too. */
function namesOf({ version, aliases = [] }: ModelVersion, ofModel: { alias: string; version: string }[]): string[] {
  const named = ofModel.filter((each) => each.version === version).map(({ alias }) => alias)
  return [...new Set([...named, ...aliases])]
}

function VersionCard({ version: of, aliases, chosen }: { version: ModelVersion; aliases: string[]; chosen: boolean }) {
  const { name, version } = of
  const card = useRef<HTMLElement>(null)
  useEffect(() => {
    if (chosen) card.current?.scrollIntoView({ block: 'start' })
  }, [chosen])
  const asked = useQuery(verdicts(name, version))
  const newest = asked.data?.[0]
  return (
    <section ref={card} className={chosen ? 'card chosen' : 'card'} aria-labelledby={`version-${version}`} data-version={version}>
      <div className="card-head">
        <h2 id={`version-${version}`}>Version {version}</h2>
        {aliases.map((alias) => (
          <Alias key={alias}>{alias}</Alias>
        ))}
        {newest && <Badge of={GATE_OUTCOMES[newest.outcome]} />}
        <span className="push">
          {of.run_id && (
            <Link to="/runs/$runId" params={{ runId: of.run_id }}>
              its run
            </Link>
          )}
          <Link to="/lineage" search={{ of: `model/${name}/${version}` }}>
            lineage
          </Link>
          {of.creation_timestamp !== undefined && <When at={of.creation_timestamp} />}
        </span>
      </div>
      {of.description && <p>{of.description}</p>}
      <Loaded query={asked}>
        {([first, ...earlier]) =>
          first ? (
            <>
              <Verdict verdict={first} plain />
              {earlier.length > 0 && (
                <details>
                  <summary>Earlier verdicts ({earlier.length})</summary>
                  {earlier.map((verdict) => (
                    <Verdict key={verdict.id} verdict={verdict} />
                  ))}
                </details>
              )}
            </>
          ) : (
            <Empty title="No gate has judged this version." command={`lathe gate ${name}`} />
          )
        }
      </Loaded>
      <KnownFacts name={name} version={version} />
    </section>
  )
}

/** `plain`: the outcome already stands above. */
function Verdict({ verdict, plain = false }: { verdict: GateVerdict; plain?: boolean }) {
  return (
    <div className="verdict">
      <p>
        {plain ? 'Judged' : <Badge of={GATE_OUTCOMES[verdict.outcome]} />}{' '}
        {verdict.champion === null ? 'with no champion to compare with' : `against version ${verdict.champion}`},{' '}
        <When at={verdict.at} />
      </p>
      <Table label={`Rules of the gate for version ${verdict.version}`}>
        <thead>
          <tr>
            <th scope="col">Rule</th>
            <th scope="col">Outcome</th>
            <th scope="col">Why</th>
            <th scope="col">Expression</th>
            <th scope="col">Values</th>
          </tr>
        </thead>
        <tbody>
          {verdict.rules.map((rule) => (
            <tr key={rule.rule}>
              <th scope="row">{rule.rule}</th>
              <td>
                <Badge of={GATE_OUTCOMES[rule.outcome]} />
              </td>
              <td className="reason">
                <Prose text={rule.reason} />
              </td>
              <td className="expression">
                <code>{rule.expression}</code>
              </td>
              <td>
                <ul className="values">
                  {Object.entries(rule.values).map(([path, value]) => (
                    <li key={path}>
                      <code>{path}</code> = <b title={JSON.stringify(value)}>{shown(value)}</b>
                    </li>
                  ))}
                </ul>
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
    </div>
  )
}

function shown(value: unknown): string {
  return typeof value === 'number' ? number(value, 6) : typeof value === 'string' ? value : JSON.stringify(value)
}

/** Asked for only when looked at: a version that no pipeline made has none. */
function KnownFacts({ name, version }: { name: string; version: string }) {
  const [open, setOpen] = useState(false)
  const asked = useQuery({ ...facts(name, version), enabled: open })
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>What gates may see of it</summary>
      {open && (
        <Loaded query={asked}>
          {(found) => (
            <pre className="json" tabIndex={0}>
              {JSON.stringify(found, null, 2)}
            </pre>
          )}
        </Loaded>
      )}
    </details>
  )
}
