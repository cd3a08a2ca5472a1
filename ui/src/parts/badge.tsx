// An outcome as glyph, word and colour: never colour alone.

import type { ReactNode } from 'react'
import type { Tone } from '../words/events'

export function Badge({ of }: { of: { word: string; glyph: string; tone: Tone } }) {
  return (
    <span className={`badge tone-${of.tone}`}>
      <span aria-hidden="true">{of.glyph}</span> {of.word}
    </span>
  )
}

export function Alias({ children }: { children: ReactNode }) {
  return <span className="badge alias">@{children}</span>
}
