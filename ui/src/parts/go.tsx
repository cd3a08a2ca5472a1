// A link to an address that is only known as text: where an event or a lineage node leads.

import { useRouter } from '@tanstack/react-router'
import type { MouseEvent, ReactNode } from 'react'
import { PREFIX } from '../api/prefix'

export function Go({ to, className, children }: { to: string; className?: string; children: ReactNode }) {
  const router = useRouter()
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    router.history.push(PREFIX + to)
  }
  return (
    <a href={PREFIX + to} className={className} onClick={follow}>
      {children}
    </a>
  )
}
