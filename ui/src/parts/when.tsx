// A moment: how long ago, kept true while the page stays open, and the exact time for who asks.

import { useEffect, useState } from 'react'
import { ago, dateTime } from '../words/format'

const TICK_MS = 5_000

export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS)
    return () => clearInterval(timer)
  }, [])
  return now
}

export function When({ at }: { at: number }) {
  const now = useNow()
  return (
    <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {ago(at, Math.max(now, at))}
    </time>
  )
}
