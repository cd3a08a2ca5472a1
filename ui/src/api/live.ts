// The open line to the server: every event is appended to the feed and makes the answers it concerns stale.

import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { PREFIX } from './prefix'
import { events } from './queries'
import { staleAfter, type Key } from './stale'
import type { LatheEvent } from './types'

const FEED_MAX = 500
/** A burst of events asks each question once. */
const GATHER_MS = 150
const RETRY_MS = 2_000

export type Line = 'connecting' | 'open' | 'lost'

export function useLive(): Line {
  const client = useQueryClient()
  const started = useQuery(events).isSuccess
  const [line, setLine] = useState<Line>('connecting')
  useEffect(() => (started ? follow(client, setLine) : undefined), [client, started])
  return line
}

function follow(client: QueryClient, report: (line: Line) => void): () => void {
  let source: EventSource | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  const forget = gatherer(client)

  const connect = () => {
    const feed = client.getQueryData(events.queryKey) ?? []
    source = new EventSource(`${PREFIX}/events?after=${feed.at(-1)?.seq ?? 0}`)
    source.onopen = () => report('open')
    source.onmessage = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as LatheEvent
      client.setQueryData(events.queryKey, (known) => appended(known ?? [], event))
      forget.after(event)
    }
    source.onerror = () => {
      // Reconnecting by hand, so that `after` is the newest event seen and none is missed.
      source?.close()
      report('lost')
      retry = setTimeout(connect, RETRY_MS)
    }
  }

  connect()
  return () => {
    source?.close()
    clearTimeout(retry)
    forget.stop()
  }
}

/** The feed with one more event; one that is already there changes nothing. */
export function appended(feed: LatheEvent[], event: LatheEvent): LatheEvent[] {
  const newest = feed.at(-1)?.seq ?? 0
  return event.seq <= newest ? feed : [...feed, event].slice(-FEED_MAX)
}

function gatherer(client: QueryClient) {
  const keys = new Map<string, Key>()
  let timer: ReturnType<typeof setTimeout> | undefined
  const flush = () => {
    timer = undefined
    for (const queryKey of keys.values()) {
      void client.invalidateQueries({ queryKey, predicate: (query) => query.queryKey[0] !== 'events' })
    }
    keys.clear()
  }
  return {
    after(event: LatheEvent) {
      for (const key of staleAfter(event)) keys.set(key.join('\n'), key)
      timer ??= setTimeout(flush, GATHER_MS)
    },
    stop: () => clearTimeout(timer),
  }
}
