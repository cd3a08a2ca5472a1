// What stands where data will be: while it loads, when it failed, when there is none.

import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { ApiError } from '../api/client'

type Asked<T> = Pick<UseQueryResult<T>, 'data' | 'error' | 'isPending' | 'isEnabled'>

/** Shows `children` of the data; an answer that is there stays while a newer one is asked for. */
export function Loaded<T>({ query, children }: { query: Asked<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data)
  if (query.error) return <Failed error={query.error} />
  return query.isEnabled ? <Loading /> : null
}

export function Loading() {
  return (
    <div className="loading" role="status">
      <span className="visually-hidden">Loading…</span>
      <i />
      <i />
      <i />
    </div>
  )
}

export function Failed({ error }: { error: Error }) {
  return (
    <div className="failed" role="alert">
      <strong>{error instanceof ApiError && error.status === 404 ? 'Not found' : 'That did not work'}</strong>
      <p>{error.message}</p>
    </div>
  )
}

/** Says what is missing and the command that makes it. */
export function Empty({ title, command, children }: { title: string; command?: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <p>{children}</p>}
      {command && (
        <pre className="command" tabIndex={0}>
          <code>{command}</code>
        </pre>
      )}
    </div>
  )
}
