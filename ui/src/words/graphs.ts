// Graphs of models in words: how their members answer together, and who each member is.

import type { Graph, GraphPart, GraphShape, VersionName } from '../api/types'
import type { Tone } from './events'
import { count, number, percent } from './format'

export interface GraphMember {
  /** When it is asked, or what it counts. */
  place: string
  /** As `lathe.toml` names it. */
  named: string
  /** Another graph of the server. */
  graph?: string
  /** A model, with the version that answers; none while nothing is resolved. */
  model?: { name: string; alias?: string; version?: number }
}

export function kindOf({ spec }: Graph): string {
  if (spec.sequence) return 'sequence'
  return spec.ensemble ? (spec.combine ?? 'ensemble') : 'switch'
}

/** How the members answer together, in one sentence. */
export function togetherInWords({ spec }: Graph): string {
  if (spec.sequence) return `${count(spec.sequence.length, 'step')}, one after the other.`
  if (spec.ensemble) {
    const asked = `${count(spec.ensemble.length, 'member')}, all asked the same`
    const output = spec.output === undefined ? '' : ` of \`${spec.output}\``
    return spec.combine === 'vote' ? `${asked}; the label${output} that most say counts.` : `${asked}; the mean${output} counts.`
  }
  const members = Object.keys(spec.cases ?? {}).length + (spec.otherwise === undefined ? 0 : 1)
  return `${count(members, 'member')}; each row is asked of the one that \`${spec.switch}\` says.`
}

export function stateOf({ ready, missing }: Graph): { word: string; glyph: string; tone: Tone } {
  if (ready) return { word: 'answers', glyph: '✓', tone: 'good' }
  if (missing === null) return { word: 'not loaded', glyph: '✕', tone: 'bad' }
  return { word: 'no version yet', glyph: '…', tone: 'warn' }
}

/** What this server answered since it loaded the versions that answer now. */
export function trafficInWords({ answered, failed, latency_us_mean }: Graph): string {
  if (answered + failed === 0) return 'No request yet since the versions were loaded.'
  const mean = latency_us_mean === null ? '' : `, ${number(latency_us_mean / 1000, 2)} ms on average`
  const failures = failed === 0 ? '' : `, ${failed} failed`
  return `${count(answered, 'request')} answered${mean}${failures} since the versions were loaded.`
}

/** The members in the order in which the graph names them. */
export function membersOf({ spec, shape }: Graph): GraphMember[] {
  if (spec.sequence) {
    const steps = shape && 'sequence' in shape ? shape.sequence.steps : []
    return spec.sequence.map((named, at) => member(`step ${at + 1}`, named, steps[at]))
  }
  if (spec.ensemble) {
    const parts = shape && 'ensemble' in shape ? shape.ensemble.members : []
    const { weights } = spec
    const all = weights?.reduce((sum, weight) => sum + weight, 0) ?? 0
    const place = (at: number) => (weights ? `weight ${percent((weights[at] ?? 0) / all)}` : 'same weight')
    return spec.ensemble.map((named, at) => member(place(at), named, parts[at]))
  }
  const { cases, otherwise } = switchOf(shape)
  const named = Object.entries(spec.cases ?? {}).map(([name, said]) => member(`case ${name}`, said, cases[name]))
  return spec.otherwise === undefined ? named : [...named, member('otherwise', spec.otherwise, otherwise)]
}

function switchOf(shape: GraphShape | null): { cases: Record<string, GraphPart>; otherwise?: GraphPart } {
  return shape && 'switch' in shape ? shape.switch : { cases: {} }
}

function member(place: string, named: string, part: GraphPart | undefined): GraphMember {
  if (named.startsWith('graph:/')) return { place, named, graph: named.slice('graph:/'.length) }
  const text = named.slice('models:/'.length)
  const resolved: VersionName | undefined = part && 'model' in part ? part.model : undefined
  const at = text.indexOf('@')
  if (at >= 0) return { place, named, model: { name: text.slice(0, at), alias: text.slice(at + 1), version: resolved?.version } }
  const slash = text.lastIndexOf('/')
  return { place, named, model: { name: text.slice(0, slash), version: Number(text.slice(slash + 1)) } }
}
