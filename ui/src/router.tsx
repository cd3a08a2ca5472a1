// Every page and its state in the URL: what a person sees can be sent to another as a link.

import { createRootRoute, createRoute, createRouter, Outlet } from '@tanstack/react-router'
import { PREFIX } from './api/prefix'
import { NotFound, Shell } from './pages/shell'
import { DeploymentPage } from './pages/deployment'
import { Door } from './pages/login'
import { JobsPage } from './pages/jobs'
import { LineagePage } from './pages/lineage'
import { LoopPage } from './pages/loop'
import { ModelPage } from './pages/model'
import { ModelsPage } from './pages/models'
import { RunPage } from './pages/run'
import { RunsPage } from './pages/runs'
import { TracePage } from './pages/trace'
import { TracesPage } from './pages/traces'

type Raw = Record<string, unknown>

/** Every part of a page's state may be absent from its address. */
type State<T> = { [K in keyof T]?: T[K] | undefined }

// A state is read from an address, where all is text, and from a link of this page, where it is what it will be.

const text = (raw: Raw, key: string): string | undefined => {
  const value = raw[key]
  return (typeof value === 'string' && value !== '') || typeof value === 'number' ? String(value) : undefined
}

const whole = (raw: Raw, key: string): number | undefined => {
  const value = Number(text(raw, key))
  return Number.isSafeInteger(value) && text(raw, key) !== undefined ? value : undefined
}

/** `a,b` in the URL; an empty list is kept, because it says "no columns" and not "the usual ones". */
const list = (raw: Raw, key: string): string[] | undefined => {
  const value = raw[key]
  if (Array.isArray(value)) return value.map(String)
  return typeof value === 'string' ? value.split(',').filter((part) => part !== '') : undefined
}

const root = createRootRoute({
  component: () => (
    <Door>
      <Shell>
        <Outlet />
      </Shell>
    </Door>
  ),
  notFoundComponent: NotFound,
})

const loop = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: (raw: Raw): State<{ deployment: string }> => ({ deployment: text(raw, 'deployment') }),
  component: LoopPage,
})

interface RunsState {
  experiment: string
  filter: string
  metrics: string[]
  params: string[]
  /** A column to sort by: `metrics.rmse`, `params.seed`, `attributes.start_time`. */
  by: string
  order: 'asc'
}

const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  validateSearch: (raw: Raw): State<RunsState> => ({
    experiment: text(raw, 'experiment'),
    filter: text(raw, 'filter'),
    metrics: list(raw, 'metrics'),
    params: list(raw, 'params'),
    by: text(raw, 'by'),
    order: text(raw, 'order') === 'asc' ? 'asc' : undefined,
  }),
  component: RunsPage,
})

const run = createRoute({
  getParentRoute: () => root,
  path: '/runs/$runId',
  validateSearch: (raw: Raw): State<{ metric: string; x: 'time'; path: string }> => ({
    metric: text(raw, 'metric'),
    x: text(raw, 'x') === 'time' ? 'time' : undefined,
    path: text(raw, 'path'),
  }),
  component: RunPage,
})

const models = createRoute({ getParentRoute: () => root, path: '/models', component: ModelsPage })

const model = createRoute({
  getParentRoute: () => root,
  path: '/models/$name',
  validateSearch: (raw: Raw): State<{ version: string; show: number }> => ({ version: text(raw, 'version'), show: whole(raw, 'show') }),
  component: ModelPage,
})

const deployment = createRoute({
  getParentRoute: () => root,
  path: '/deployments/$name',
  validateSearch: (raw: Raw): State<{ window: number; column: string; alert: number }> => ({
    /** The start of the window looked at. */
    window: whole(raw, 'window'),
    column: text(raw, 'column'),
    alert: whole(raw, 'alert'),
  }),
  component: DeploymentPage,
})

const traces = createRoute({
  getParentRoute: () => root,
  path: '/traces',
  validateSearch: (raw: Raw): State<{ experiment: string; filter: string }> => ({
    experiment: text(raw, 'experiment'),
    filter: text(raw, 'filter'),
  }),
  component: TracesPage,
})

const trace = createRoute({
  getParentRoute: () => root,
  path: '/traces/$traceId',
  validateSearch: (raw: Raw): State<{ span: string }> => ({ span: text(raw, 'span') }),
  component: TracePage,
})

const lineage = createRoute({
  getParentRoute: () => root,
  path: '/lineage',
  validateSearch: (raw: Raw): State<{ of: string; node: string }> => ({ of: text(raw, 'of'), node: text(raw, 'node') }),
  component: LineagePage,
})

const jobs = createRoute({
  getParentRoute: () => root,
  path: '/jobs',
  validateSearch: (raw: Raw): State<{ job: number }> => ({ job: whole(raw, 'job') }),
  component: JobsPage,
})

/** Plain `key=value`, so that people can read and write the address. */
function searchText(search: Raw): string {
  const given = Object.entries(search).filter(([, value]) => value !== undefined)
  const pairs = given.map(([key, value]) => [key, Array.isArray(value) ? value.join(',') : String(value)])
  const query = new URLSearchParams(pairs).toString().replaceAll('%2C', ',').replaceAll('%2F', '/')
  return query === '' ? '' : `?${query}`
}

export const router = createRouter({
  routeTree: root.addChildren([loop, runs, run, traces, trace, models, model, deployment, lineage, jobs]),
  parseSearch: (query) => Object.fromEntries(new URLSearchParams(query)),
  stringifySearch: searchText,
  basepath: PREFIX === '' ? '/' : PREFIX,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
