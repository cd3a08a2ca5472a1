// An alert with its diagnosis.

import { Link } from '@tanstack/react-router'
import type { Alert } from '../api/types'
import { date, number } from '../words/format'
import { ALERT_STATES, CAUSES } from '../words/loop'
import { Badge } from './badge'
import { Prose } from './prose'
import { Table } from './table'
import { When } from './when'

/** `titled`: its summary already stands above. */
export function AlertHead({ alert, titled = false }: { alert: Alert; titled?: boolean }) {
  const { diagnosis } = alert
  return (
    <div className="alert-head">
      {!titled && (
        <p>
          <Badge of={ALERT_STATES[alert.state]} />{' '}
          <b>
            <Prose text={alert.summary} />
          </b>
        </p>
      )}
      <p className="alert-diagnosis">
        <Prose text={diagnosis.summary} />
      </p>
      <ul className="alert-facts">
        <li>
          most likely <b>{CAUSES[diagnosis.cause]}</b>
        </li>
        <li>since {date(diagnosis.since, 'utc')}</li>
        {diagnosis.error_now !== null && (
          <li>
            error {diagnosis.error_before !== null && `${number(diagnosis.error_before, 4)} → `}
            <b>{number(diagnosis.error_now, 4)}</b>
          </li>
        )}
        <li>version {alert.version}</li>
        <li>
          {alert.resolved_at === null ? 'opened ' : 'resolved '}
          <When at={alert.resolved_at ?? alert.opened_at} />
        </li>
      </ul>
    </div>
  )
}

export function AlertDetails({ alert }: { alert: Alert }) {
  const { columns, evidence } = alert.diagnosis
  return (
    <>
      {evidence.length > 0 && (
        <ul className="evidence">
          {evidence.map((line) => (
            <li key={line}>
              <Prose text={line} />
            </li>
          ))}
        </ul>
      )}
      {columns.length > 0 && (
        <Table label="Columns that moved">
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col" className="number">
                Score
              </th>
              <th scope="col" className="number">
                Mean, reference
              </th>
              <th scope="col" className="number">
                Mean, window
              </th>
              <th scope="col">Since</th>
              <th scope="col">Season explains it</th>
            </tr>
          </thead>
          <tbody>
            {columns.map((moved) => (
              <tr key={moved.column}>
                <th scope="row">
                  <Link
                    to="/deployments/$name"
                    params={{ name: alert.deployment }}
                    search={{ window: alert.window_start, column: moved.column }}
                  >
                    {moved.column}
                  </Link>
                </th>
                <td className="number">{number(moved.score, 3)}</td>
                <td className="number">{number(moved.reference_mean, 4)}</td>
                <td className="number">{number(moved.window_mean, 4)}</td>
                <td>{date(moved.since, 'utc')}</td>
                <td>{moved.seasonal === null ? 'not covered' : moved.seasonal ? 'yes' : 'no'}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </>
  )
}
