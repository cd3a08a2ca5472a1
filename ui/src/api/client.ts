// Asking the server: same origin, JSON both ways, its error bodies as errors.

import { PREFIX } from './prefix'

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message)
  }
}

type Query = Record<string, string | number | undefined>

function address(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString()
  return text === '' ? path : `${path}?${text}`
}

async function send<T>(url: string, init: RequestInit): Promise<T> {
  const reply = await fetch(PREFIX + url, init)
  const text = await reply.text()
  if (reply.ok) return JSON.parse(text) as T
  throw errorOf(reply.status, text)
}

function errorOf(status: number, text: string): ApiError {
  try {
    const body = JSON.parse(text) as { error_code?: string; message?: string }
    return new ApiError(body.error_code ?? String(status), body.message ?? `the server answered ${status}`, status)
  } catch {
    return new ApiError(String(status), `the server answered ${status}`, status)
  }
}

export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return send(address(path, query), { signal: signal ?? null })
}

export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: signal ?? null,
  })
}

export function del<T>(path: string): Promise<T> {
  return send(path, { method: 'DELETE' })
}
