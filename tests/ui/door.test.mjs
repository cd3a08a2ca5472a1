// The page of a server where people log in, behind a path: who has no session is asked for one, and the page stays under
// its path.
//
// LATHE_BIN   the binary. CHROMIUM as in loop.test.mjs.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

const binary = process.env.LATHE_BIN
assert.ok(binary, 'LATHE_BIN names no binary')

const PASSWORD = 'correct horse battery'
let folder
let server
let url
let browser

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-door-'))
  server = spawn(binary, ['server', '--port', '0', '--json', '--auth', '--static-prefix', '/ml'], {
    cwd: folder,
    env: { ...process.env, LATHE_ADMIN_PASSWORD: PASSWORD },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const part of server.stdout) {
    said += part
    if (said.endsWith('}\n')) break
  }
  // The path is part of what is told, or is added.
  url = JSON.parse(said).url.replace(/\/ml$/, '') + '/ml'
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  })
})

after(async () => {
  await browser?.close()
  server?.kill()
  await rm(folder, { recursive: true, force: true })
})

test('who has no session logs in, sees the page, follows its links under the path and logs out', async () => {
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(10_000)
  const faults = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('response', (response) => {
    // A wrong password is told as 401.
    if (response.status() >= 400 && !response.url().endsWith('/api/v1/session')) faults.push(`${response.status()} ${response.url()}`)
  })

  await page.goto(`${url}/runs`)
  await page.getByRole('heading', { name: 'Log in to Lathe' }).waitFor()
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('alert').waitFor()

  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: 'Runs' }).waitFor()
  await page.getByText('live', { exact: true }).waitFor()
  await page.getByRole('link', { name: 'Models' }).click()
  await page.getByRole('heading', { name: 'Models' }).waitFor()
  assert.equal(page.url(), `${url}/models`)
  assert.ok(await page.evaluate(() => [...document.images].every((image) => image.naturalWidth > 0)))

  // The session lasts over a reload, and its end is noticed.
  await page.reload()
  await page.getByRole('heading', { name: 'Models' }).waitFor()
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByRole('heading', { name: 'Log in to Lathe' }).waitFor()
  assert.deepEqual(faults, [])
})
