// The steps of a rollout and where it stands.

import type { Deployment, Rollout } from '../api/types'
import { faultInWords, ROLLOUT_STATES, stepInWords } from '../words/loop'
import { Badge } from './badge'
import { Prose } from './prose'
import { When } from './when'

export function Steps({ deployment, rollout }: { deployment: Deployment; rollout: Rollout }) {
  const { rollout: steps } = deployment.spec
  return (
    <div className="rollout">
      <p className="rollout-head">
        <Badge of={ROLLOUT_STATES[rollout.state]} /> version {rollout.from_version} → <b>version {rollout.to_version}</b>{' '}
        <span className="soft">
          {rollout.finished_at === null ? 'this step since ' : ''}
          <When at={rollout.finished_at ?? rollout.step_started_at} />
        </span>
        {rollout.fault && <span className="badge tone-warn">{faultInWords(rollout.fault)}</span>}
      </p>
      {steps.length > 0 && (
        <ol className="steps">
          {steps.map((step, index) => {
            const place = placeOf(rollout, index)
            return (
              <li key={index} className={place} aria-current={place === 'now' ? 'step' : undefined}>
                <span>{stepInWords(step)}</span>
                <small>{PLACES[place]}</small>
              </li>
            )
          })}
        </ol>
      )}
      {rollout.reason && (
        <p className="soft">
          <Prose text={rollout.reason} />
        </p>
      )}
    </div>
  )
}

const PLACES = { done: 'passed', now: 'now', stopped: 'stopped here', next: 'to come', skipped: 'not taken' } as const

function placeOf({ state, step }: Rollout, index: number): keyof typeof PLACES {
  if (state === 'promoted' || index < step) return 'done'
  if (index === step) return state === 'running' ? 'now' : 'stopped'
  return state === 'running' ? 'next' : 'skipped'
}
