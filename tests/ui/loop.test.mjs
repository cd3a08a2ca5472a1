// The web page of a running server, in a real browser: what it shows equals what the API says, it changes by itself,
// it fits a phone, and it makes no error on the way.
//
// LATHE_URL   the server; it has at least one run with metrics. What it has not (a model, a deployment) is skipped.
// CHROMIUM    the browser, /usr/bin/chromium if absent.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, before, beforeEach, afterEach, test } from 'node:test'
import { chromium } from 'playwright-core'

const base = process.env.LATHE_URL?.replace(/\/$/, '')
assert.ok(base, 'LATHE_URL names no server')

const MLFLOW = '/api/2.0/mlflow'
const WIDE = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

let browser
let context
let page
let faults

async function ask(path, body) {
  const init = body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
  const reply = await fetch(base + path, init)
  assert.ok(reply.ok, `${path} answered ${reply.status}: ${await reply.clone().text()}`)
  return reply.json()
}

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS })
})

after(() => browser?.close())

beforeEach(async () => {
  // A context is a fresh user-data-dir of its own.
  context = await browser.newContext({ viewport: WIDE })
  page = await context.newPage()
  page.setDefaultTimeout(10_000)
  faults = []
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => faults.push(`page: ${error.stack}`))
  page.on('requestfailed', (request) => {
    const { pathname } = new URL(request.url())
    const why = request.failure()?.errorText
    // A page that is left closes its line to the server and drops questions whose answers it no longer needs.
    if (why === 'net::ERR_ABORTED' && (pathname === '/events' || pathname.startsWith('/api/'))) return
    faults.push(`request: ${request.url()} ${why}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`response: ${response.status()} ${response.url()}`)
  })
})

afterEach(async () => {
  await context.close()
  assert.deepEqual(faults, [])
})

async function open(path) {
  await page.goto(base + path)
  await page.locator('h1').waitFor()
  // Loaded means that nothing is still drawn as loading, not that the network is quiet: the line to the server never is.
  await page.waitForFunction(() => document.querySelector('.loading') === null)
}

/** The run to look at: the newest one that has metrics. */
async function runWithMetrics() {
  const { experiments } = await ask(`${MLFLOW}/experiments/search`, { max_results: 1000 })
  const ids = experiments.map(({ experiment_id }) => experiment_id)
  const order_by = ['attributes.start_time DESC']
  const { runs = [] } = await ask(`${MLFLOW}/runs/search`, { experiment_ids: ids, max_results: 100, order_by })
  const run = runs.find(({ data }) => data?.metrics?.length)
  assert.ok(run, 'the server has no run with metrics')
  return run
}

const deployments = async () => (await ask('/api/v1/deployments')).deployments
const models = async () => (await ask(`${MLFLOW}/registered-models/search?max_results=100`)).registered_models ?? []
const percentage = (weight) => `${Number((weight * 100).toFixed(1))} %`

test('the loop shows who answers, the windows with their charts, and the feed', async (t) => {
  const [deployment] = await deployments()
  if (!deployment) return t.skip('the server has no deployment')
  await open('/')
  const legend = (await page.locator('.split-legend').innerText()).replaceAll(/\s+/g, ' ')
  for (const { version, role, weight } of deployment.targets) {
    const share = role === 'shadow' ? 'copies' : percentage(weight)
    assert.ok(legend.includes(`version ${version} ${share} ${role}`), `${legend} says nothing of version ${version}`)
  }
  const { windows } = await ask(`/api/v1/deployments/${deployment.name}/windows?limit=100`)
  await page.getByRole('heading', { name: 'Windows' }).waitFor()
  assert.equal(await page.locator('.strip .cell').count(), windows.length)
  if (windows.length > 0) {
    const drawn = await page.locator('.chart canvas').first().boundingBox()
    assert.ok(drawn.width > 200 && drawn.height > 80, `the chart is drawn ${drawn.width} × ${drawn.height}`)
  }
  const { alerts } = await ask(`/api/v1/alerts?deployment=${deployment.name}`)
  const foremost = alerts.sort((a, b) => b.id - a.id).find(({ state }) => state !== 'resolved') ?? alerts[0]
  if (foremost) {
    const words = foremost.diagnosis.summary.replaceAll('`', '')
    assert.ok((await page.locator('.alert-card').innerText()).includes(words), 'the newest alert is not explained')
  }
})

test('a trace is found by a filter, and shows its spans along time with what each was asked', async () => {
  const hex = (digits) => Array.from({ length: digits }, () => Math.floor(Math.random() * 16).toString(16)).join('')
  const [traceId, root, step] = [hex(32), hex(16), hex(16)]
  const attribute = (key, stringValue) => ({ key, value: { stringValue } })
  const at = BigInt(Date.now()) * 1_000_000n
  const times = (from, to) => ({ startTimeUnixNano: String(at + from), endTimeUnixNano: String(at + to) })
  const spans = [
    { traceId, spanId: root, name: 'browser agent', ...times(0n, 400_000_000n), attributes: [attribute('mlflow.spanInputs', 'what is a lathe?')] },
    { traceId, spanId: step, parentSpanId: root, name: 'look it up', ...times(100_000_000n, 300_000_000n), status: { code: 2, message: 'no network' }, attributes: [attribute('mlflow.spanType', 'TOOL')] },
  ]
  const reply = await fetch(`${base}/v1/traces`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'x-mlflow-experiment-id': '0' },
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
  })
  assert.ok(reply.ok, await reply.text())
  await ask(`/api/3.0/mlflow/traces/tr-${traceId}/assessments`, {
    assessment: { assessment_name: 'useful', feedback: { value: true }, source: { source_type: 'HUMAN', source_id: 'me' } },
  })
  await open('/traces')
  await page.getByRole('search').getByRole('textbox').fill(`span.status = 'ERROR' AND request_id = 'tr-${traceId}'`)
  await page.getByRole('button', { name: 'Filter' }).click()
  const row = page.locator(`tr[data-trace="tr-${traceId}"]`)
  await row.waitFor()
  assert.equal(await page.locator('tr[data-trace]').count(), 1)
  assert.match(await row.innerText(), /browser agent.*ok.*what is a lathe\?.*400 ms/s)
  await row.getByRole('link', { name: 'browser agent' }).click()
  await page.locator(`[data-span="${step}"]`).waitFor()
  const [whole, part] = await Promise.all([root, step].map((id) => page.locator(`[data-span="${id}"] .span-track i`).boundingBox()))
  assert.ok(Math.abs(part.width / whole.width - 0.5) < 0.05 && part.x > whole.x, `${part.width} of ${whole.width}`)
  await page.getByText('what is a lathe?').waitFor()
  await page.locator(`[data-span="${step}"] a`).click()
  await page.getByText('no network').waitFor()
  assert.match(await page.locator('section', { hasText: 'Assessments' }).last().innerText(), /useful human\s+true/)
})

test('an empty loop says what to type', async (t) => {
  if ((await deployments()).length > 0) return t.skip('the server has a deployment')
  await open('/')
  assert.match(await page.locator('.empty .command').first().innerText(), /lathe run/)
})

test('the table of runs shows the metrics of the API, sorted as the URL says', async () => {
  const run = await runWithMetrics()
  const [metric] = run.data.metrics
  await open(`/runs?experiment=${run.info.experiment_id}&metrics=${encodeURIComponent(metric.key)}`)
  const cell = page.locator(`tr[data-run="${run.info.run_id}"] td[data-metric="${metric.key}"]`)
  assert.equal(await cell.getAttribute('title'), String(metric.value))
  await page.locator('thead').getByRole('link', { name: metric.key, exact: true }).click()
  await page.waitForURL((url) => url.searchParams.get('by') === `metrics.${metric.key}`)
  await page.locator('thead th[aria-sort="descending"]', { hasText: metric.key }).waitFor()
  const order_by = [`metrics.\`${metric.key}\` DESC`]
  const found = await ask(`${MLFLOW}/runs/search`, { experiment_ids: [run.info.experiment_id], max_results: 100, order_by })
  await page.locator(`tbody tr:first-child[data-run="${found.runs[0].info.run_id}"]`).waitFor()
  // What is seen is in the address: opened anew, it is the same.
  await page.reload()
  await page.locator(`tbody tr:first-child[data-run="${found.runs[0].info.run_id}"]`).waitFor()
})

test('a run shows its metrics to the last digit, the curve of the one in the URL, its params and files', async () => {
  const run = await runWithMetrics()
  const metric = run.data.metrics.at(-1)
  await open(`/runs/${run.info.run_id}?metric=${encodeURIComponent(metric.key)}`)
  for (const { key, value } of run.data.metrics) {
    assert.equal(await page.locator(`td[data-metric="${key}"]`).innerText(), String(value))
  }
  await page.locator('.history canvas').waitFor()
  assert.equal(await page.locator('.history .chart-label').innerText(), metric.key)
  for (const { key, value } of run.data.params ?? []) {
    const row = page.getByRole('region', { name: 'Params, a table' }).locator('tr').filter({ has: page.getByRole('rowheader', { name: key, exact: true }) })
    assert.equal((await row.locator('td').innerText()).trim(), value.trim())
  }
  const { files = [] } = await ask(`${MLFLOW}/artifacts/list?run_id=${run.info.run_id}`)
  const artifacts = await page.locator('section[aria-labelledby="artifacts-title"]').innerText()
  for (const { path } of files) assert.ok(artifacts.includes(path), `${path} is not listed`)
})

test('a model shows its alias, and each version the verdict of its gate', async (t) => {
  const model = (await models()).find(({ aliases }) => aliases?.length)
  if (!model) return t.skip('the server has no model with an alias')
  await open('/models')
  const [{ alias, version }] = model.aliases
  const row = (await page.locator(`tr[data-model="${model.name}"]`).innerText()).replaceAll(/\s+/g, ' ')
  assert.ok(row.includes(`@${alias} → ${version}`), row)
  await page.getByRole('link', { name: model.name, exact: true }).click()
  const card = page.locator(`[data-version="${version}"]`)
  await card.getByText(`@${alias}`).waitFor()
  const { verdicts } = await ask(`/api/v1/models/${model.name}/versions/${version}/verdicts`)
  const newest = verdicts.sort((a, b) => b.id - a.id)[0]
  if (!newest) return
  const words = await card.innerText()
  for (const rule of newest.rules) {
    assert.ok(words.includes(rule.expression) && words.includes(rule.rule), `rule ${rule.rule} is not shown`)
  }
})

test('graphs are shown with who their members are, and lead to them', async (t) => {
  const model = (await models()).find(({ aliases }) => aliases?.length)
  if (!model) return t.skip('the server has no model with an alias')
  const [{ alias, version }] = model.aliases
  const member = `models:/${model.name}@${alias}`
  const declare = async (graph) => {
    const init = { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ root: '/nowhere', spec: { project: { name: 'browser' }, graph } }) }
    const reply = await fetch(`${base}/api/v1/projects/browser`, init)
    assert.ok(reply.ok, await reply.text())
  }
  await open('/')
  try {
    await declare({
      'browser-blend': { ensemble: [member, `models:/${model.name}/${version}`], combine: 'vote', weights: [3, 1] },
      'browser-route': { switch: "input.x > 0.0 ? 'much' : 'little'", columns: { x: 'double' }, cases: { much: member }, otherwise: 'graph:/browser-blend' },
    })
    // They appear by themselves.
    const blend = page.locator('[data-graph="browser-blend"]')
    await blend.waitFor()
    const rows = async (graph) => (await graph.locator('tbody tr').allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' ').trim())
    assert.deepEqual(await rows(blend), [`weight 75 % ${model.name} @${alias} ${version}`, `weight 25 % ${model.name} ${version}`])
    await blend.locator('.badge', { hasText: 'answers' }).waitFor()
    const route = page.locator('[data-graph="browser-route"]')
    assert.deepEqual(await rows(route), [`case much ${model.name} @${alias} ${version}`, 'otherwise browser-blend –'])
    assert.equal(await route.locator('a', { hasText: 'browser-blend' }).getAttribute('href'), '#graph-browser-blend')
    await blend.getByRole('link', { name: model.name }).first().click()
    await page.locator(`[data-version="${version}"]`).waitFor()
  } finally {
    await declare({})
  }
})

test('a deployment shows a window column by column, with both histograms', async (t) => {
  const [deployment] = await deployments()
  if (!deployment) return t.skip('the server has no deployment')
  const { windows } = await ask(`/api/v1/deployments/${deployment.name}/windows?limit=100`)
  const window = windows.find(({ drift }) => drift?.columns.some(({ histogram }) => histogram.length))
  if (!window) return t.skip('the server has no judged window')
  const column = window.drift.columns.find(({ histogram }) => histogram.length)
  await open('/')
  await page.locator(`.strip a[href="/deployments/${encodeURIComponent(deployment.name)}?window=${window.start}"]`).click()
  await page.locator(`[data-window="${window.start}"]`).waitFor()
  await page.locator('.one-window').getByRole('link', { name: column.column, exact: true }).click()
  await page.locator(`[data-column="${column.column}"]`).waitFor()
  await page.reload()
  await page.locator(`[data-window="${window.start}"] [data-column="${column.column}"]`).waitFor()
  assert.equal(await page.locator('.one-window > .table-box tbody tr').count(), window.drift.columns.length)
  const chosen = page.locator(`[data-column="${column.column}"]`)
  assert.equal(await chosen.locator('.bars').count(), 2)
  assert.equal(await chosen.locator('.bars-box i').count(), 2 * column.histogram.length)
  assert.ok((await chosen.innerText()).includes(column.method))
})

test('the lineage of a run begins with it, in the picture and in words', async () => {
  const { info } = await runWithMetrics()
  const { nodes } = await ask(`/api/v1/lineage?of=run/${info.run_id}`)
  await open(`/runs/${info.run_id}`)
  await page.getByRole('link', { name: 'Lineage', exact: true }).last().click()
  await page.locator('.layers').waitFor()
  assert.equal(await page.locator('.graph .node').count(), nodes.length)
  assert.equal(await page.locator('.layers li[data-node]').count(), nodes.length)
  await page.locator(`.layers a[href="/runs/${info.run_id}"]`).waitFor()
})

test('jobs are listed, or the page says what makes them', async () => {
  const { jobs } = await ask('/api/v1/jobs?limit=200')
  await open('/jobs')
  if (jobs.length > 0) assert.equal(await page.locator('tbody tr').count(), jobs.length)
  else await page.locator('.empty').waitFor()
})

test('what happens appears by itself, in the feed and in the table of runs', async () => {
  const other = await context.newPage()
  await other.goto(`${base}/runs`)
  await other.locator('.line-open').waitFor()
  await open('/')
  await page.locator('.line-open').waitFor()
  const run_name = `live-${Date.now()}`
  const created = await ask(`${MLFLOW}/runs/create`, { experiment_id: '0', run_name, start_time: Date.now(), tags: [] })
  const { run_id } = created.run.info
  try {
    await ask(`${MLFLOW}/runs/log-metric`, { run_id, key: 'rmse', value: 61.5, timestamp: Date.now(), step: 0 })
    await ask(`${MLFLOW}/runs/update`, { run_id, status: 'FINISHED', end_time: Date.now() })
    await page.locator(`.feed a[href="/runs/${run_id}"]`).first().waitFor()
    const row = other.locator(`tr[data-run="${run_id}"]`)
    await row.getByText('finished').waitFor()
    assert.ok((await row.innerText()).includes(run_name))
    assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].type), 'navigate')
  } finally {
    await ask(`${MLFLOW}/runs/delete`, { run_id })
  }
})

test('every page fits a phone, in light and in dark, and has no fault that axe knows', async () => {
  const { info } = await runWithMetrics()
  const paths = ['/', '/traces', '/runs', `/runs/${info.run_id}`, '/models', '/jobs', '/lineage', `/lineage?of=run/${info.run_id}`]
  for (const { name } of (await models()).slice(0, 1)) paths.push(`/models/${encodeURIComponent(name)}`)
  for (const { name } of (await deployments()).slice(0, 1)) paths.push(`/deployments/${encodeURIComponent(name)}`)
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  for (const [viewport, colorScheme] of [
    [PHONE, 'light'],
    [WIDE, 'dark'],
  ]) {
    await page.setViewportSize(viewport)
    // An entry that slides in is half transparent for a moment, and has the contrast of it.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    for (const path of paths) {
      await open(path)
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      assert.ok(over <= 0, `${path} is ${over} px wider than ${viewport.width} px`)
      await page.evaluate(axe)
      const { violations } = await page.evaluate(() => globalThis.axe.run())
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
      assert.deepEqual(found, [], `${path} in ${colorScheme}`)
    }
  }
})
