// Numbers, times and sizes as people read them. Pure: the present and the locale are given.

export type Timezone = 'local' | 'utc'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** At most `digits` significant digits, without trailing zeros; exponents only where digits would not fit. */
export function number(value: number | string | null | undefined, digits = 5): string {
  if (value === null || value === undefined) return '–'
  const n = Number(value)
  if (!Number.isFinite(n)) return String(value)
  if (n === 0 || Number.isInteger(n) && Math.abs(n) < 1e15) return String(n)
  const size = Math.abs(n)
  if (size < 1e-4 || size >= 1e9) return n.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, 'e')
  return String(Number(n.toPrecision(digits)))
}

/** The value as the server holds it, no digit lost. */
export function exact(value: number | string): string {
  return String(value)
}

export function percent(share: number): string {
  const value = share * 100
  const digits = value !== 0 && Math.abs(value) < 10 && !Number.isInteger(Number(value.toFixed(4))) ? 1 : 0
  return `${value.toFixed(digits)} %`
}

export function pValue(p: number | null): string {
  if (p === null) return 'no test'
  return p < 0.0001 ? '< 0.0001' : number(p, 2)
}

export function bytes(size: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let unit = 0
  let rest = size
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000
    unit += 1
  }
  return `${unit === 0 ? rest : rest.toFixed(1)} ${units[unit]}`
}

export function duration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`
  if (ms < MINUTE) return `${Math.round(ms / SECOND)} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${Math.round((ms % MINUTE) / SECOND)} s`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${Math.round((ms % HOUR) / MINUTE)} min`
  return `${Math.floor(ms / DAY)} d ${Math.round((ms % DAY) / HOUR)} h`
}

export function ago(at: number, now: number): string {
  const passed = now - at
  if (passed < 5 * SECOND) return 'just now'
  if (passed < MINUTE) return `${Math.floor(passed / SECOND)} s ago`
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)} min ago`
  if (passed < DAY) return `${Math.floor(passed / HOUR)} h ago`
  return `${Math.floor(passed / DAY)} d ago`
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export function parts(at: number, zone: Timezone) {
  const shifted = zone === 'utc' ? new Date(at) : new Date(at - new Date(at).getTimezoneOffset() * MINUTE)
  const two = (n: number) => String(n).padStart(2, '0')
  const clock = `${two(shifted.getUTCHours())}:${two(shifted.getUTCMinutes())}`
  return {
    year: shifted.getUTCFullYear(),
    month: MONTHS[shifted.getUTCMonth()] ?? '',
    day: shifted.getUTCDate(),
    clock,
    seconds: `${clock}:${two(shifted.getUTCSeconds())}`,
  }
}

export function date(at: number, zone: Timezone = 'local'): string {
  const { day, month, year } = parts(at, zone)
  return `${day} ${month} ${year}`
}

export function dateTime(at: number, zone: Timezone = 'local'): string {
  const { seconds } = parts(at, zone)
  return `${date(at, zone)}, ${seconds}`
}

/** A window in event time: "3 Nov 2011", "3 – 9 Nov 2011", "3 Nov 2011, 14:00 – 15:00". */
export function period(start: number, end: number): string {
  const from = parts(start, 'utc')
  const whole = start % DAY === 0 && end % DAY === 0
  if (!whole) {
    const to = parts(end, 'utc')
    const sameDay = from.day === to.day && end - start < DAY
    return sameDay
      ? `${date(start, 'utc')}, ${from.clock} – ${to.clock}`
      : `${date(start, 'utc')}, ${from.clock} – ${date(end, 'utc')}, ${to.clock}`
  }
  const last = parts(end - 1, 'utc')
  if (end - start <= DAY) return date(start, 'utc')
  if (from.year !== last.year) return `${date(start, 'utc')} – ${date(end - 1, 'utc')}`
  if (from.month !== last.month) return `${from.day} ${from.month} – ${date(end - 1, 'utc')}`
  return `${from.day} – ${date(end - 1, 'utc')}`
}

/** The label of a tick, as coarse as the distance of ticks allows. */
export function tick(at: number, distance_ms: number, zone: Timezone): string {
  const { year, month, day, clock, seconds } = parts(at, zone)
  if (distance_ms >= 28 * DAY) return month === 'Jan' ? `${month} ${year}` : month
  if (distance_ms >= DAY) return `${day} ${month}`
  if (distance_ms >= MINUTE) return clock === '00:00' ? `${day} ${month}` : clock
  return seconds
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}
