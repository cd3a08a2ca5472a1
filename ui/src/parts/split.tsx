// Who answers: one bar cut by share of the answers, a shadow as a hatched strip below it.

import { Fragment } from 'react'
import type { Deployment } from '../api/types'
import { percent } from '../words/format'
import { ROLES, warningsOf } from '../words/loop'

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
        {targets.map((target) => {
          const { version, role, weight } = target
          return (
            <li key={role}>
              <i className={`role-${role}`} aria-hidden="true" />
              version {version} <b>{role === 'shadow' ? 'copies' : percent(weight)}</b>{' '}
              <span className="soft">{ROLES[role]}</span>
              {warningsOf(target).map((warning) => (
                <Fragment key={warning}>
                  {' '}
                  <span className="badge tone-warn">{warning}</span>
                </Fragment>
              ))}
            </li>
          )
        })}
      </ul>
    </div>
  )
}
