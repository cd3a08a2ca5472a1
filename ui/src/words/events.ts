// Events in plain words: what happened, in which part of the loop, and where to look closer.

import type { LatheEvent } from '../api/types'

/** The parts of the loop in the order work goes round. */
export const PHASES = ['run', 'gate', 'deploy', 'monitor', 'alert', 'retrain'] as const
export type Phase = (typeof PHASES)[number]

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'busy'

interface Words {
  title: string
  phase: Phase | null
  tone: Tone
}

const KINDS: Record<string, Words> = {
  'run.created': { title: 'Run started', phase: 'run', tone: 'busy' },
  'run.finished': { title: 'Run finished', phase: 'run', tone: 'good' },
  'run.deleted': { title: 'Run deleted', phase: null, tone: 'plain' },
  'run.restored': { title: 'Run restored', phase: null, tone: 'plain' },
  'model.created': { title: 'Model registered', phase: null, tone: 'plain' },
  'version.registered': { title: 'Version registered', phase: 'gate', tone: 'plain' },
  'gate.decided': { title: 'Gate decided', phase: 'gate', tone: 'plain' },
  'alias.set': { title: 'Alias moved', phase: null, tone: 'plain' },
  'alias.deleted': { title: 'Alias taken away', phase: null, tone: 'plain' },
  'project.declared': { title: 'Project declared', phase: null, tone: 'plain' },
  'deployment.declared': { title: 'Deployment declared', phase: 'deploy', tone: 'plain' },
  'deployment.swapped': { title: 'Version swapped', phase: 'deploy', tone: 'good' },
  'graph.declared': { title: 'Graph declared', phase: 'deploy', tone: 'plain' },
  'graph.swapped': { title: 'Member swapped', phase: 'deploy', tone: 'good' },
  'graph.withdrawn': { title: 'Graph withdrawn', phase: 'deploy', tone: 'plain' },
  'rollout.started': { title: 'Rollout started', phase: 'deploy', tone: 'busy' },
  'rollout.step': { title: 'Next rollout step', phase: 'deploy', tone: 'busy' },
  'rollout.promoted': { title: 'Promoted', phase: 'deploy', tone: 'good' },
  'rollout.rolled_back': { title: 'Rolled back', phase: 'deploy', tone: 'bad' },
  'window.closed': { title: 'Window closed', phase: 'monitor', tone: 'plain' },
  'window.labelled': { title: 'Labels arrived', phase: 'monitor', tone: 'plain' },
  'alert.opened': { title: 'Alert opened', phase: 'alert', tone: 'bad' },
  'alert.acknowledged': { title: 'Alert acknowledged', phase: 'alert', tone: 'warn' },
  'alert.resolved': { title: 'Alert resolved', phase: 'alert', tone: 'good' },
  'trigger.fired': { title: 'Trigger fired', phase: 'retrain', tone: 'busy' },
  'trigger.suppressed': { title: 'Trigger held back', phase: 'retrain', tone: 'warn' },
  'job.queued': { title: 'Job queued', phase: 'retrain', tone: 'plain' },
  'job.started': { title: 'Job started', phase: 'retrain', tone: 'busy' },
  'job.done': { title: 'Job done', phase: 'retrain', tone: 'good' },
  'job.failed': { title: 'Job failed', phase: 'retrain', tone: 'bad' },
}

const GATES: Record<string, { title: string; tone: Tone }> = {
  pass: { title: 'Gate passed', tone: 'good' },
  fail: { title: 'Gate failed', tone: 'bad' },
  inconclusive: { title: 'Gate inconclusive', tone: 'warn' },
  waiting: { title: 'Gate waits for approval', tone: 'warn' },
}
/** How a run ended: its status, of the event that tells of its end. */
const ENDS: Record<string, { title: string; tone: Tone }> = {
  FINISHED: { title: 'Run finished', tone: 'good' },
  FAILED: { title: 'Run failed', tone: 'bad' },
  KILLED: { title: 'Run stopped', tone: 'warn' },
}

export function wordsOf(event: LatheEvent): Words {
  const known = KINDS[event.kind] ?? { title: spelledOut(event.kind), phase: phaseOfJob(event), tone: 'plain' as const }
  if (event.kind === 'gate.decided') return { ...known, ...GATES[text(event, 'outcome')] }
  if (event.kind === 'run.finished') return { ...known, ...ENDS[text(event, 'status')] }
  if (event.kind.startsWith('job.')) return { ...known, phase: phaseOfJob(event) }
  return known
}

/** A gate job belongs to the gate, a deploy job to the deployment; the rest is retraining. */
function phaseOfJob(event: LatheEvent): Phase | null {
  if (!event.kind.startsWith('job.')) return null
  const kind = text(event, 'kind')
  if (kind === 'gate') return 'gate'
  return kind === 'deploy' ? 'deploy' : 'retrain'
}

/** `stage.cache_missed` → "Stage cache missed" */
function spelledOut(kind: string): string {
  const words = kind.replaceAll(/[._-]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function field(event: LatheEvent, name: string): unknown {
  const { data } = event
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>)[name] : undefined
}

function text(event: LatheEvent, name: string): string {
  const value = field(event, name)
  return typeof value === 'string' ? value : ''
}

/** Where to look closer, as an address of this page; null if there is no page for it. */
export function linkOf(event: LatheEvent): string | null {
  const [noun, ...rest] = event.subject.split('/')
  const name = rest.map(encodeURIComponent)
  if (name[0] === undefined || name[0] === '') return null
  switch (noun) {
    case 'run':
      return `/runs/${name[0]}`
    case 'model':
      return name[1] === undefined ? `/models/${name[0]}` : `/models/${name[0]}?version=${name[1]}`
    case 'deployment':
      return `/deployments/${name[0]}${deploymentDetail(event)}`
    case 'job':
      return `/jobs?job=${name[0]}`
    default:
      return null
  }
}

function deploymentDetail(event: LatheEvent): string {
  const [start, alert] = [field(event, 'start'), field(event, 'alert')]
  if (event.kind.startsWith('window.') && typeof start === 'number') return `?window=${start}`
  if (event.kind.startsWith('alert.') && typeof alert === 'number') return `?alert=${alert}`
  return ''
}

/** The newest event of each part of the loop. `feed` is oldest first. */
export function newestByPhase(feed: LatheEvent[]): Map<Phase, LatheEvent> {
  const newest = new Map<Phase, LatheEvent>()
  for (const event of feed) {
    const { phase } = wordsOf(event)
    if (phase) newest.set(phase, event)
  }
  return newest
}
