// A table that scrolls sideways inside its own box, reachable by keyboard.

import type { ReactNode } from 'react'

export function Table({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="table-box" role="region" aria-label={`${label}, a table`} tabIndex={0}>
      <table>{children}</table>
    </div>
  )
}

/** Names and values, as a list that reads well on a phone. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
