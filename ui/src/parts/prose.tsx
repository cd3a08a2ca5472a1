// A summary of the server: what stands in backticks is a name.

import { Fragment } from 'react'

export function Prose({ text }: { text: string }) {
  return text.split('`').map((part, index) =>
    // The parts between two backticks are the odd ones.
    index % 2 === 1 ? <code key={index}>{part}</code> : <Fragment key={index}>{part}</Fragment>,
  )
}
