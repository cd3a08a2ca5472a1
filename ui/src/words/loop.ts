// Deployments, rollouts, windows and alerts in words.

import type { Alert, Cause, Deployment, Fault, GateOutcome, Outcome, Role, Rollout, RolloutStep, RunStatus, Target, Window } from '../api/types'
import type { Tone } from './events'
import { count, percent } from './format'

export const OUTCOMES: Record<Outcome | 'open', { word: string; glyph: string; tone: Tone }> = {
  ok: { word: 'no drift', glyph: '✓', tone: 'good' },
  drift: { word: 'drift', glyph: '▲', tone: 'bad' },
  insufficient: { word: 'too few rows', glyph: '–', tone: 'plain' },
  untestable: { word: 'cannot be compared', glyph: '?', tone: 'warn' },
  open: { word: 'still open', glyph: '…', tone: 'busy' },
}

export const GATE_OUTCOMES: Record<GateOutcome, { word: string; glyph: string; tone: Tone }> = {
  pass: { word: 'pass', glyph: '✓', tone: 'good' },
  fail: { word: 'fail', glyph: '✕', tone: 'bad' },
  inconclusive: { word: 'inconclusive', glyph: '?', tone: 'warn' },
  waiting: { word: 'waiting', glyph: '…', tone: 'warn' },
}

export const RUN_STATUSES: Record<RunStatus, { word: string; glyph: string; tone: Tone }> = {
  RUNNING: { word: 'running', glyph: '…', tone: 'busy' },
  SCHEDULED: { word: 'scheduled', glyph: '…', tone: 'plain' },
  FINISHED: { word: 'finished', glyph: '✓', tone: 'good' },
  FAILED: { word: 'failed', glyph: '✕', tone: 'bad' },
  KILLED: { word: 'killed', glyph: '✕', tone: 'warn' },
}

export const CAUSES: Record<Cause, string> = {
  season: 'the season',
  broken_input: 'broken input',
  changed_world: 'a changed world',
  shifted_inputs: 'shifted inputs',
}

export const ROLES: Record<Role, string> = {
  stable: 'stable',
  canary: 'canary',
  shadow: 'shadow, sees copies',
}

export const ROLLOUT_STATES: Record<Rollout['state'], { word: string; glyph: string; tone: Tone }> = {
  running: { word: 'under way', glyph: '…', tone: 'busy' },
  promoted: { word: 'promoted', glyph: '✓', tone: 'good' },
  rolled_back: { word: 'rolled back', glyph: '↩', tone: 'bad' },
}

export const ALERT_STATES: Record<Alert['state'], { word: string; glyph: string; tone: Tone }> = {
  open: { word: 'open', glyph: '▲', tone: 'bad' },
  acknowledged: { word: 'acknowledged', glyph: '▲', tone: 'warn' },
  resolved: { word: 'resolved', glyph: '✓', tone: 'good' },
}

export function outcomeOf(window: Window): Outcome | 'open' {
  return window.drift?.outcome ?? 'open'
}

export function stepInWords(step: RolloutStep): string {
  if (step.canary === undefined) return `shadow for ${step.shadow}`
  return step.for === undefined ? `${step.canary} %` : `${step.canary} % for ${step.for}`
}

/** Who answers now, in one sentence. */
export function answersInWords({ stable, targets }: Deployment): string {
  if (stable === null || targets.length === 0) return 'No version answers yet.'
  const others = targets
    .filter(({ role }) => role !== 'stable')
    .map(({ role, version, weight }) =>
      role === 'canary' ? `version ${version} takes ${percent(weight)} as a canary` : `version ${version} sees copies as a shadow`,
    )
  return [`Version ${stable} answers`, ...others].join('; ') + '.'
}

/** Of a version, or of a graph, whose answers execute what a model holds. */
export const EXECUTES_CODE = 'executes code'

/** What to know of a version beside its share. */
export function warningsOf({ fault, executes_code }: Target): string[] {
  return [fault && faultInWords(fault), executes_code && EXECUTES_CODE].filter((warning) => typeof warning === 'string')
}

export function faultInWords({ delay_ms, error_share }: Fault): string {
  const effects = [delay_ms > 0 && `${delay_ms} ms delay`, error_share > 0 && `${percent(error_share)} errors`]
  return `rehearsed fault: ${effects.filter(Boolean).join(', ') || 'none'}`
}

/** "2 of 8 columns moved (25 %)" */
export function driftInWords(window: Window): string {
  if (!window.drift) return OUTCOMES.open.word
  const tested = window.drift.columns.filter(({ outcome }) => outcome === 'ok' || outcome === 'drift')
  const moved = tested.filter(({ outcome }) => outcome === 'drift')
  if (tested.length === 0) return OUTCOMES[window.drift.outcome].word
  return `${moved.length} of ${count(tested.length, 'column')} moved (${percent(window.drift.share)})`
}

/** Consecutive windows answered by the same version. `windows` is oldest first. */
export function versionSpans(windows: Window[]): { version: number; length: number }[] {
  const spans: { version: number; length: number }[] = []
  for (const { version } of windows) {
    const last = spans.at(-1)
    if (last?.version === version) last.length += 1
    else spans.push({ version, length: 1 })
  }
  return spans
}

/** The alert to look at first: the newest that is not resolved, else the newest. `alerts` is newest first. */
export function foremost(alerts: Alert[]): Alert | undefined {
  return alerts.find(({ state }) => state !== 'resolved') ?? alerts[0]
}
