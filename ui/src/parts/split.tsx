// Who answers: one bar cut by share of the answers, a shadow as a hatched strip below it.

import type { Deployment, Fault } from '../api/types'
import { percent } from '../words/format'
import { ROLES } from '../words/loop'

export function Split({ deployment: { targets } }: { deployment: Deployment }) {
  const answering = targets.filter(({ weight }) => weight > 0)
  return (
    <div className="split">
      <div className="split-bar" aria-hidden="true">
        {answering.map(({ version, role, weight }) => (
          <i key={role} className={`role-${role}`} style={{ flexGrow: weight }}>
            {weight >= 0.1 && `v${version}`}
          </i>
        ))}
      </div>
      {targets.some(({ role }) => role === 'shadow') && <div className="split-bar shadow" aria-hidden="true" />}
      <ul className="split-legend">
        {targets.map(({ version, role, weight, fault }) => (
          <li key={role}>
            <i className={`role-${role}`} aria-hidden="true" />
            version {version} <b>{role === 'shadow' ? 'copies' : percent(weight)}</b>{' '}
            <span className="soft">{ROLES[role]}</span>
            {fault && <span className="badge tone-warn">{faultInWords(fault)}</span>}
          </li>
        ))}
      </ul>
    </div>
  )
}

export function faultInWords({ delay_ms, error_share }: Fault): string {
  const effects = [delay_ms > 0 && `${delay_ms} ms delay`, error_share > 0 && `${percent(error_share)} errors`]
  return `rehearsed fault: ${effects.filter(Boolean).join(', ') || 'none'}`
}
