// The newest events first, in plain words.

import type { LatheEvent } from '../api/types'
import { linkOf, wordsOf } from '../words/events'
import { Go } from './go'
import { Prose } from './prose'
import { When } from './when'

const SHOWN_MAX = 100

/** `events` is oldest first. */
export function Feed({ events }: { events: LatheEvent[] }) {
  return (
    <div className="feed" role="log" aria-label="Events, newest first" tabIndex={0}>
      <ol>
        {events
          .slice(-SHOWN_MAX)
          .reverse()
          .map((event) => (
            <Line key={event.seq} event={event} />
          ))}
      </ol>
    </div>
  )
}

function Line({ event }: { event: LatheEvent }) {
  const { title, tone } = wordsOf(event)
  const link = linkOf(event)
  return (
    <li className={`tone-${tone}`} data-seq={event.seq} data-kind={event.kind}>
      <span className="feed-head">
        {link ? <Go to={link}>{title}</Go> : <b>{title}</b>} <When at={event.at} />
      </span>
      <span className="feed-text">
        <Prose text={event.summary} />
      </span>
    </li>
  )
}
