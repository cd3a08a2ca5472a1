// Windows side by side, oldest first: one cell each, coloured by outcome, with the versions that answered below.

import { Link } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import type { Window } from '../api/types'
import { period } from '../words/format'
import { driftInWords, OUTCOMES, outcomeOf, versionSpans } from '../words/loop'

export function Strip({ windows, chosen }: { windows: Window[]; chosen?: number | undefined }) {
  const box = useRef<HTMLDivElement>(null)
  const newest = windows.at(-1)?.start
  // Where not all windows fit, the one looked at is shown, else the newest.
  useEffect(() => {
    const element = box.current
    const cell = element?.querySelector<HTMLElement>('[aria-current]')?.parentElement
    if (element) element.scrollLeft = cell ? cell.offsetLeft - element.clientWidth / 2 : element.scrollWidth
  }, [chosen, newest])
  const columns = { gridTemplateColumns: `repeat(${windows.length}, minmax(var(--cell), 1fr))` }
  return (
    <div ref={box} className="strip-box" role="region" aria-label="Windows, oldest first" tabIndex={0}>
      <ol className="strip" style={columns}>
        {windows.map((window) => {
          const { word, glyph, tone } = OUTCOMES[outcomeOf(window)]
          const words = `${period(window.start, window.end)}: ${word}, ${driftInWords(window)}, ${window.rows} rows`
          return (
            <li key={window.start}>
              <Link
                to="/deployments/$name"
                params={{ name: window.deployment }}
                search={{ window: window.start }}
                className={`cell tone-${tone}`}
                aria-current={window.start === chosen ? 'true' : undefined}
                aria-label={words}
                title={words}
                resetScroll={false}
              >
                <span aria-hidden="true">{glyph}</span>
              </Link>
            </li>
          )
        })}
      </ol>
      <ol className="strip-versions" style={columns} aria-label="Versions that answered">
        {versionSpans(windows).map(({ version, length }, index) => (
          <li key={index} style={{ gridColumn: `span ${length}` }} title={`version ${version}`}>
            v{version}
          </li>
        ))}
      </ol>
    </div>
  )
}

export function StripKey() {
  return (
    <ul className="strip-key">
      {Object.values(OUTCOMES).map(({ word, glyph, tone }) => (
        <li key={word}>
          <span className={`cell tone-${tone}`} aria-hidden="true">
            {glyph}
          </span>
          {word}
        </li>
      ))}
    </ul>
  )
}
