// What surrounds every page: the way to the others, and whether the line to the server is open.

import { Link } from '@tanstack/react-router'
import { useEffect, type ReactNode } from 'react'
import { useLive, type Line } from '../api/live'
import { PREFIX } from '../api/prefix'
import icon from '../icon.svg'
import { Visitor } from './login'

const PAGES = [
  { to: '/', name: 'Loop' },
  { to: '/runs', name: 'Runs' },
  { to: '/traces', name: 'Traces' },
  { to: '/models', name: 'Models' },
  { to: '/jobs', name: 'Jobs' },
  { to: '/lineage', name: 'Lineage' },
] as const

const LINES: Record<Line, { word: string; title: string }> = {
  connecting: { word: 'connecting', title: 'The line to the server is being opened' },
  open: { word: 'live', title: 'Changes appear by themselves' },
  lost: { word: 'reconnecting', title: 'The server does not answer; the page shows what it last knew' },
}

export function Shell({ children }: { children: ReactNode }) {
  const line = useLive()
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/" className="brand" aria-label="Lathe, to the loop">
          <img src={PREFIX + icon} alt="" width="26" height="26" />
          <span>Lathe</span>
        </Link>
        <nav aria-label="Pages">
          {PAGES.map(({ to, name }) => (
            <Link key={to} to={to} activeOptions={{ exact: to === '/', includeSearch: false }}>
              {name}
            </Link>
          ))}
        </nav>
        <span className={`line line-${line}`} role="status" title={LINES[line].title}>
          <i aria-hidden="true" />
          {LINES[line].word}
        </span>
        <Visitor />
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  )
}

export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Lathe`
  }, [title])
}

export function NotFound() {
  useTitle('Not found')
  return (
    <section className="page">
      <h1>No such page</h1>
      <p>
        Nothing lives at this address. <Link to="/">Back to the loop</Link>.
      </p>
    </section>
  )
}
