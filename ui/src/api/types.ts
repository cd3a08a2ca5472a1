// The shapes the server sends: MLflow's wire types and the records of `lathe-types`, as far as the page reads them.
// Times are milliseconds since 1970.

// MLflow leaves out unset fields and empty lists, so every list of its types is optional.

export interface Experiment {
  experiment_id: string
  name: string
}

export type RunStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED'

export interface Metric {
  key: string
  /** "NaN" for what JSON numbers cannot say. */
  value: number | string
  timestamp: number
  step?: number
}

export interface KeyValue {
  key: string
  value: string
}

export interface Run {
  info: {
    run_id: string
    run_name?: string
    experiment_id: string
    status: RunStatus
    start_time?: number
    end_time?: number
    user_id?: string
    artifact_uri?: string
  }
  data?: { metrics?: Metric[]; params?: KeyValue[]; tags?: KeyValue[] }
}

export interface ArtifactFile {
  path: string
  is_dir?: boolean
  file_size?: number
}

export interface ModelVersion {
  name: string
  version: string
  creation_timestamp?: number
  description?: string
  run_id?: string
  source?: string
  aliases?: string[]
  tags?: KeyValue[]
}

export interface RegisteredModel {
  name: string
  creation_timestamp?: number
  last_updated_timestamp?: number
  description?: string
  latest_versions?: ModelVersion[]
  aliases?: { alias: string; version: string }[]
  tags?: KeyValue[]
}

export type Role = 'stable' | 'canary' | 'shadow'

export interface Fault {
  delay_ms: number
  error_share: number
}

export interface Target {
  version: number
  role: Role
  /** Share of the answers, 0 to 1; zero for a shadow. */
  weight: number
  fault: Fault | null
  /** Whether answering executes what the model holds. */
  executes_code: boolean
}

export type RolloutState = 'running' | 'promoted' | 'rolled_back'

export interface Rollout {
  id: number
  deployment: string
  from_version: number
  to_version: number
  step: number
  step_started_at: number
  started_at: number
  finished_at: number | null
  state: RolloutState
  reason: string | null
  fault: Fault | null
}

/** `{ shadow = "10m" }` or `{ canary = 5, for = "10m" }` */
export interface RolloutStep {
  shadow?: string
  canary?: number
  for?: string
}

export interface Deployment {
  name: string
  spec: { model: string; rollout: RolloutStep[]; abort?: string; min_requests: number }
  stable: number | null
  previous: number | null
  rollout: Rollout | null
  revision: number
  updated_at: number
  targets: Target[]
  alias?: string | null
}

export interface VersionName {
  model: string
  version: number
}

/** A member whose version is known. */
export type GraphPart = { model: VersionName } | { graph: { name: string; shape: GraphShape } }

/** A graph with versions in place of aliases. */
export type GraphShape =
  | { sequence: { steps: GraphPart[] } }
  | { ensemble: { members: GraphPart[] } }
  | { switch: { cases: Record<string, GraphPart>; otherwise?: GraphPart } }

/** Models that answer together. */
export interface Graph {
  name: string
  /** As `[graph.NAME]` declares it: `sequence`, `ensemble` or `switch`. */
  spec: {
    sequence?: string[]
    ensemble?: string[]
    combine?: 'mean' | 'vote'
    weights?: number[]
    output?: string
    switch?: string
    cases?: Record<string, string>
    otherwise?: string
  }
  /** None until every alias was set once. */
  shape: GraphShape | null
  /** The member that names no version now. */
  missing: string | null
  version: number
  updated_at: number
  ready: boolean
  executes_code: boolean
  /** Requests to this process since it loaded the versions that answer now. */
  answered: number
  failed: number
  latency_us_mean: number | null
}

export type Outcome = 'ok' | 'drift' | 'insufficient' | 'untestable'

export interface BinShare {
  label: string
  reference: number
  window: number
}

export interface ColumnSummary {
  rows: number
  missing_share: number
  mean: number | null
  std: number | null
  min: number | null
  max: number | null
  unseen_share: number
}

export interface ColumnVerdict {
  column: string
  kind: 'numeric' | 'categorical'
  outcome: Outcome
  method: string
  score: number
  threshold: number
  p_value: number | null
  alpha: number
  noise_floor: number
  reference: ColumnSummary
  window: ColumnSummary
  histogram: BinShare[]
  reason: string | null
}

export interface DriftReport {
  outcome: Outcome
  columns: ColumnVerdict[]
  share: number
  share_threshold: number
  reference: string
}

export interface Performance {
  metric: string
  value: number
  labelled: number
  coverage: number
  metrics: Record<string, number>
}

export interface Window {
  deployment: string
  start: number
  end: number
  version: number
  rows: number
  closed: boolean
  drift: DriftReport | null
  performance: Performance | null
}

export type Cause = 'season' | 'broken_input' | 'changed_world' | 'shifted_inputs'

export interface Diagnosis {
  cause: Cause
  summary: string
  columns: {
    column: string
    score: number
    reference_mean: number | null
    window_mean: number | null
    since: number
    seasonal: boolean | null
  }[]
  since: number
  error_before: number | null
  error_now: number | null
  evidence: string[]
}

export interface Alert {
  id: number
  deployment: string
  version: number
  kind: 'drift' | 'performance'
  state: 'open' | 'acknowledged' | 'resolved'
  at: number
  opened_at: number
  resolved_at: number | null
  window_start: number
  summary: string
  diagnosis: Diagnosis
}

export type GateOutcome = 'pass' | 'fail' | 'inconclusive' | 'waiting'

export interface GateVerdict {
  id: number
  model: string
  version: number
  champion: number | null
  outcome: GateOutcome
  rules: {
    rule: string
    expression: string
    outcome: GateOutcome
    values: Record<string, unknown>
    reason: string
  }[]
  at: number
}

export interface Job {
  id: number
  kind: string
  key: string
  state: 'queued' | 'running' | 'done' | 'failed'
  attempts: number
  attempts_max: number
  run_at: number
  error: string | null
  cause: string
  created_at: number
  updated_at: number
}

export interface LatheEvent {
  seq: number
  at: number
  kind: string
  subject: string
  summary: string
  data: unknown
}

export interface LineageNode {
  kind: string
  id: string
  title: string
  details: unknown
}

export interface LineageEdge {
  from: string
  to: string
  relation: string
}

export interface LineageGraph {
  nodes: LineageNode[]
  edges: LineageEdge[]
}

export type TraceState = 'OK' | 'ERROR' | 'IN_PROGRESS' | 'STATE_UNSPECIFIED'

export interface Assessment {
  assessment_id: string
  assessment_name: string
  span_id?: string
  source?: { source_type?: string; source_id?: string }
  feedback?: { value?: unknown; error?: { error_code?: string; error_message?: string } }
  expectation?: { value?: unknown; serialized_value?: { value?: string } }
  issue?: { issue_name: string }
  rationale?: string
  valid?: boolean
}

export interface TraceInfo {
  trace_id: string
  trace_location: { mlflow_experiment?: { experiment_id: string } }
  client_request_id?: string
  request_preview?: string
  response_preview?: string
  request_time: string
  /** Seconds, as `1.5s`. */
  execution_duration?: string
  state: TraceState
  trace_metadata?: Record<string, string>
  tags?: Record<string, string>
  assessments?: Assessment[]
}

/** A span as the tree shows it. Times are microseconds after the first span of the trace started. */
export interface SpanHead {
  span_id: string
  parent_id: string | null
  name: string
  kind: string
  status: 'OK' | 'ERROR' | 'UNSET'
  start_us: number
  duration_us: number | null
  total_tokens: number | null
}

export interface SpanTree {
  spans: SpanHead[]
  /** Whether the trace has more spans than are told. */
  more: boolean
}

export interface SpanBody {
  name: string
  status: { code: string; message: string }
  attributes: Record<string, unknown>
  events: { name: string; time_unix_nano: number; attributes: Record<string, unknown> }[]
}

/** Whether people log in here, and who did. */
export interface Session {
  login: boolean
  user: { username: string; is_admin: boolean; role: string } | null
}
