// Every question the page asks, under the key that `stale.ts` forgets it by.

import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { get, post } from './client'
import type {
  Alert,
  ArtifactFile,
  Deployment,
  Experiment,
  GateVerdict,
  Graph,
  Job,
  LatheEvent,
  LineageGraph,
  Metric,
  ModelVersion,
  RegisteredModel,
  Rollout,
  Run,
  Session,
  SpanBody,
  SpanTree,
  TraceInfo,
  Window,
} from './types'

const MLFLOW = '/api/2.0/mlflow'
const MLFLOW_3 = '/api/3.0/mlflow'
const LATHE = '/api/v1'
const TRACES_A_PAGE = 100
const RUNS_A_PAGE = 100
/** MLflow's own cap of one page of a metric's history. */
const POINTS_A_PAGE = 25_000
const HISTORY_PAGES_MAX = 4

const segment = encodeURIComponent

/** Who asks; `main.tsx` asks again when an answer says that it is nobody any more. */
export const session = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => get<Session>(`${LATHE}/session`, {}, signal),
  staleTime: Number.POSITIVE_INFINITY,
})

export const experiments = queryOptions({
  queryKey: ['experiments'],
  queryFn: async ({ signal }) => {
    const found = await post<{ experiments?: Experiment[] }>(`${MLFLOW}/experiments/search`, { max_results: 1000 }, signal)
    return found.experiments ?? []
  },
})

interface RunsPage {
  runs?: Run[]
  next_page_token?: string
}

export const runs = (experimentIds: string[], filter: string, orderBy: string[]) =>
  infiniteQueryOptions({
    queryKey: ['runs', experimentIds, filter, orderBy],
    queryFn: ({ pageParam, signal }) =>
      post<RunsPage>(
        `${MLFLOW}/runs/search`,
        {
          experiment_ids: experimentIds,
          max_results: RUNS_A_PAGE,
          order_by: orderBy,
          ...(filter === '' ? {} : { filter }),
          ...(pageParam === '' ? {} : { page_token: pageParam }),
        },
        signal,
      ),
    initialPageParam: '',
    getNextPageParam: (page: RunsPage) => page.next_page_token,
    enabled: experimentIds.length > 0,
  })

export const run = (id: string) =>
  queryOptions({
    queryKey: ['run', id],
    queryFn: async ({ signal }) => (await get<{ run: Run }>(`${MLFLOW}/runs/get`, { run_id: id }, signal)).run,
    // Logging a metric is no event, so a run that still logs is looked at again.
    refetchInterval: ({ state }) => (state.data?.info.status === 'RUNNING' ? 2_000 : false),
  })

export const metricHistory = (runId: string, key: string, growing: boolean) =>
  queryOptions({
    queryKey: ['run', runId, 'history', key],
    queryFn: async ({ signal }) => {
      const points: Metric[] = []
      let token: string | undefined
      for (let page = 0; page < HISTORY_PAGES_MAX; page += 1) {
        const found = await get<{ metrics?: Metric[]; next_page_token?: string }>(
          `${MLFLOW}/metrics/get-history`,
          { run_id: runId, metric_key: key, max_results: POINTS_A_PAGE, page_token: token },
          signal,
        )
        points.push(...(found.metrics ?? []))
        token = found.next_page_token
        if (!token) break
      }
      return { points, complete: !token }
    },
    enabled: key !== '',
    refetchInterval: growing ? 2_000 : false,
  })

export const artifacts = (runId: string, path: string) =>
  queryOptions({
    queryKey: ['run', runId, 'artifacts', path],
    queryFn: ({ signal }) =>
      get<{ root_uri?: string; files?: ArtifactFile[] }>(`${MLFLOW}/artifacts/list`, { run_id: runId, path }, signal),
  })

interface TracesPage {
  traces?: TraceInfo[]
  next_page_token?: string
}

export const traces = (experimentIds: string[], filter: string) =>
  infiniteQueryOptions({
    queryKey: ['traces', experimentIds, filter],
    queryFn: ({ pageParam, signal }) =>
      post<TracesPage>(
        `${MLFLOW_3}/traces/search`,
        {
          locations: experimentIds.map((experiment_id) => ({ type: 'MLFLOW_EXPERIMENT', mlflow_experiment: { experiment_id } })),
          max_results: TRACES_A_PAGE,
          ...(filter === '' ? {} : { filter }),
          ...(pageParam === '' ? {} : { page_token: pageParam }),
        },
        signal,
      ),
    initialPageParam: '',
    getNextPageParam: (page: TracesPage) => page.next_page_token,
    enabled: experimentIds.length > 0,
    // Traces come by the thousand and are no events, so the newest are asked for again.
    refetchInterval: ({ state }) => (state.data && state.data.pages.length > 1 ? false : 5_000),
  })

export const trace = (id: string) =>
  queryOptions({
    queryKey: ['trace', id],
    queryFn: async ({ signal }) =>
      (await get<{ trace: { trace_info: TraceInfo } }>(`${MLFLOW_3}/traces/${segment(id)}`, {}, signal)).trace.trace_info,
    refetchInterval: ({ state }) => (state.data?.state === 'IN_PROGRESS' ? 2_000 : false),
  })

export const spanTree = (id: string, growing: boolean) =>
  queryOptions({
    queryKey: ['trace', id, 'spans'],
    queryFn: ({ signal }) => get<SpanTree>(`${LATHE}/traces/${segment(id)}/spans`, {}, signal),
    refetchInterval: growing ? 2_000 : false,
  })

export const span = (trace: string, id: string) =>
  queryOptions({
    queryKey: ['trace', trace, 'span', id],
    queryFn: ({ signal }) => get<SpanBody>(`${LATHE}/traces/${segment(trace)}/spans/${segment(id)}`, {}, signal),
    enabled: id !== '',
  })

export const models = queryOptions({
  queryKey: ['models'],
  queryFn: async ({ signal }) => {
    const found = await get<{ registered_models?: RegisteredModel[] }>(
      `${MLFLOW}/registered-models/search`,
      { max_results: 1000 },
      signal,
    )
    return found.registered_models ?? []
  },
})

export const modelVersions = (name: string) =>
  queryOptions({
    queryKey: ['models', name, 'versions'],
    queryFn: async ({ signal }) => {
      const quoted = name.replaceAll("'", "''")
      const found = await get<{ model_versions?: ModelVersion[] }>(
        `${MLFLOW}/model-versions/search`,
        { filter: `name='${quoted}'`, max_results: 1000 },
        signal,
      )
      return (found.model_versions ?? []).sort((a, b) => Number(b.version) - Number(a.version))
    },
  })

export const verdicts = (model: string, version: string) =>
  queryOptions({
    queryKey: ['verdicts', model, version],
    queryFn: async ({ signal }) => {
      const path = `${LATHE}/models/${segment(model)}/versions/${segment(version)}/verdicts`
      const found = await get<{ verdicts: GateVerdict[] }>(path, {}, signal)
      return found.verdicts.sort((a, b) => b.id - a.id)
    },
  })

export const facts = (model: string, version: string) =>
  queryOptions({
    queryKey: ['models', model, 'facts', version],
    queryFn: ({ signal }) =>
      get<Record<string, unknown> | null>(`${LATHE}/models/${segment(model)}/versions/${segment(version)}/facts`, {}, signal),
  })

/** Everything that answers, asked for once. */
const answering = queryOptions({
  queryKey: ['deployments'],
  queryFn: ({ signal }) => get<{ deployments: Deployment[]; graphs: Graph[] }>(`${LATHE}/deployments`, {}, signal),
})

export const deployments = queryOptions({ ...answering, select: (found) => found.deployments })

/** No event tells that a graph was loaded, nor of its requests, so they are asked for again. */
export const graphs = queryOptions({
  ...answering,
  select: (found) => found.graphs,
  refetchInterval: ({ state }) => {
    const found = state.data?.graphs ?? []
    if (found.length === 0) return false
    return found.some(({ ready, missing }) => !ready && missing === null) ? 1_000 : 10_000
  },
})

export const deployment = (name: string) =>
  queryOptions({
    queryKey: ['deployments', name],
    queryFn: ({ signal }) => get<Deployment>(`${LATHE}/deployments/${segment(name)}`, {}, signal),
  })

export const rollouts = (name: string) =>
  queryOptions({
    queryKey: ['deployments', name, 'rollouts'],
    queryFn: async ({ signal }) =>
      (await get<{ rollouts: Rollout[] }>(`${LATHE}/deployments/${segment(name)}/rollouts`, {}, signal)).rollouts,
  })

/** Newest first. */
export const windows = (name: string) =>
  queryOptions({
    queryKey: ['windows', name],
    queryFn: async ({ signal }) =>
      (await get<{ windows: Window[] }>(`${LATHE}/deployments/${segment(name)}/windows`, { limit: 100 }, signal)).windows,
  })

/** Newest first. */
export const alerts = (deploymentName: string) =>
  queryOptions({
    queryKey: ['alerts', deploymentName],
    queryFn: async ({ signal }) => {
      const found = await get<{ alerts: Alert[] }>(`${LATHE}/alerts`, { deployment: deploymentName }, signal)
      return found.alerts.sort((a, b) => b.id - a.id)
    },
  })

/** Newest first. */
export const jobs = queryOptions({
  queryKey: ['jobs'],
  queryFn: async ({ signal }) => {
    const found = await get<{ jobs: Job[] }>(`${LATHE}/jobs`, { limit: 200 }, signal)
    return found.jobs.sort((a, b) => b.id - a.id)
  },
})

/** Oldest first; `live.ts` appends to it. */
export const events = queryOptions({
  queryKey: ['events'],
  queryFn: async ({ signal }) => (await get<{ events: LatheEvent[] }>(`${LATHE}/events`, { limit: 200 }, signal)).events,
  staleTime: Number.POSITIVE_INFINITY,
})

export const lineage = (of: string) =>
  queryOptions({
    queryKey: ['lineage', of],
    queryFn: ({ signal }) => get<LineageGraph>(`${LATHE}/lineage`, { of }, signal),
    enabled: of !== '',
  })
