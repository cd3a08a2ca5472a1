// The door of a server where people log in, and the way out.

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { FormEvent, ReactNode } from 'react'
import { del, post } from '../api/client'
import { PREFIX } from '../api/prefix'
import { session } from '../api/queries'
import type { Session } from '../api/types'
import icon from '../icon.svg'
import { Failed, Loading } from '../parts/state'
import { useTitle } from './shell'

/** Shows `children` to those who are let in, and asks everybody else who they are. */
export function Door({ children }: { children: ReactNode }) {
  const { data, error } = useQuery(session)
  if (data === undefined) return error ? <Failed error={error} /> : <Loading />
  return data.login && data.user === null ? <LogIn /> : children
}

function LogIn() {
  useTitle('Log in')
  const client = useQueryClient()
  const attempt = useMutation({
    mutationFn: (who: { username: string; password: string }) => post<Session>('/api/v1/session', who),
    onSuccess: (found) => {
      // What somebody else saw is not there for whoever comes now.
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== session.queryKey[0] })
      client.setQueryData(session.queryKey, found)
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    attempt.mutate({ username: String(fields.get('username')), password: String(fields.get('password')) })
  }
  return (
    <main className="door">
      <form onSubmit={submit}>
        <img src={PREFIX + icon} alt="" width="40" height="40" />
        <h1>Log in to Lathe</h1>
        <label>
          User name
          <input name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {attempt.error && <Failed error={attempt.error} />}
        <button disabled={attempt.isPending}>{attempt.isPending ? 'Logging in…' : 'Log in'}</button>
      </form>
    </main>
  )
}

/** Who is logged in, with the way out; nothing where nobody logs in. */
export function Visitor() {
  const { data } = useQuery(session)
  // Whatever was shown to one person is not there for the next.
  const leave = useMutation({ mutationFn: () => del('/api/v1/session'), onSuccess: () => window.location.reload() })
  if (!data?.login || data.user === null) return null
  return (
    <span className="visitor">
      <span title={data.user.is_admin ? 'administrator' : data.user.role}>{data.user.username}</span>
      <button onClick={() => leave.mutate()} disabled={leave.isPending}>
        Log out
      </button>
    </span>
  )
}
