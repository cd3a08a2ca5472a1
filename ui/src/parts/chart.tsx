// A time series or a curve on uPlot: colours from the style sheet, width from its box, its newest value as text.

import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import { date, dateTime, number, tick, type Timezone } from '../words/format'

export interface Series {
  name: string
  values: (number | null)[]
  /** Which colour of the style sheet: `--line-1`… */
  line: 1 | 2 | 3
  dashed?: boolean
}

export interface ChartProps {
  label: string
  /** Milliseconds for a time axis, plain numbers else; ascending. */
  x: number[]
  axis: Timezone | 'number'
  xName?: string
  series: Series[]
  height?: number
  /** Charts with the same key share their cursor. */
  sync?: string
  range?: [number, number]
  show?: (value: number) => string
}

/** More points than this are drawn as a line only. */
const POINTS_MAX = 60
const DAY_MS = 86_400_000
const SCHEME = '(prefers-color-scheme: dark)'

export function Chart(props: ChartProps) {
  const { label, x, axis, xName = 'step', series, height = 190, sync, range, show = number } = props
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const [hovered, setHovered] = useState<number | null>(null)
  const dark = useDark()

  const data = useMemo<uPlot.AlignedData>(() => [x, ...series.map(({ values }) => values)], [x, series])
  const newest = useRef(data)
  newest.current = data
  const shape = JSON.stringify([series.map(({ name, line, dashed }) => [name, line, dashed]), axis, height, sync, range])
  const pointed = x.length <= POINTS_MAX

  // Drawn anew only when the chart becomes another one; new values go to the chart that is there.
  useEffect(() => {
    const element = box.current
    if (!element) return
    const style = getComputedStyle(element)
    const color = (name: string) => style.getPropertyValue(name).trim()
    const grid = { stroke: color('--chart-grid'), width: 1 }
    const shared = { stroke: color('--ink-soft'), grid, ticks: { show: false }, font: `11px ${color('--font')}` }
    const isTime = axis !== 'number'
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height,
        ms: 1,
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false }, ...(sync ? { sync: { key: sync } } : {}) },
        scales: { x: { time: isTime }, y: range ? { range } : { range: (_, low, high) => around(low, high) } },
        axes: [
          {
            ...shared,
            grid: { show: false },
            size: 34,
            gap: 9,
            space: 64,
            values: (_, splits, __, ___, distance) =>
              splits.map((at) => (isTime ? tick(at, distance, axis) : number(at, 4))),
          },
          { ...shared, size: 52, space: 34, values: (_, splits) => splits.map((value) => show(value)) },
        ],
        series: [
          {},
          ...series.map(({ name, line, dashed }) => ({
            label: name,
            stroke: color(`--line-${line}`),
            width: dashed ? 1.5 : 2,
            points: { show: pointed && !dashed, size: 5, fill: color(`--line-${line}`) },
            ...(dashed ? { dash: [5, 4] } : {}),
          })),
        ],
        hooks: { setCursor: [({ cursor }) => setHovered(cursor.idx ?? null)] },
      },
      newest.current,
      element,
    )
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.current?.destroy()
      plot.current = undefined
    }
    // `shape` stands for what of the props the chart is made of.
  }, [shape, dark, pointed])

  useEffect(() => plot.current?.setData(data), [data])

  const at = hovered !== null && hovered < x.length ? hovered : lastGiven(series, x.length)
  return (
    <figure className="chart">
      <figcaption>
        <span className="chart-label">{label}</span>
        <span className="chart-legend">
          {series.map(({ name, values, line, dashed }) => (
            <span key={name} className={dashed ? 'dashed' : undefined}>
              <i style={{ background: `var(--line-${line})` }} />
              {name} <b>{at === null ? '–' : valueText(values[at], show)}</b>
            </span>
          ))}
          {at !== null && <span className="chart-at">{positionText(x[at] ?? 0, axis, xName)}</span>}
        </span>
      </figcaption>
      <div ref={box} className="chart-box" style={{ height }} role="img" aria-label={spoken(label, series, x.length, show)} />
    </figure>
  )
}

function valueText(value: number | null | undefined, show: (value: number) => string): string {
  return value === null || value === undefined ? '–' : show(value)
}

function positionText(x: number, axis: ChartProps['axis'], name: string): string {
  if (axis === 'number') return `${name} ${number(x, 10)}`
  if (axis === 'local') return dateTime(x)
  return x % DAY_MS === 0 ? date(x, 'utc') : `${dateTime(x, 'utc')} UTC`
}

function lastGiven(series: Series[], length: number): number | null {
  for (let index = length - 1; index >= 0; index -= 1) {
    if (series.some(({ values, dashed }) => !dashed && typeof values[index] === 'number')) return index
  }
  return null
}

function spoken(label: string, series: Series[], points: number, show: (value: number) => string): string {
  const each = series.map(({ name, values }) => {
    const given = values.filter((value) => value !== null)
    if (given.length === 0) return `${name} without values`
    // Not `Math.min(...given)`: a curve may have more points than a call may have arguments.
    const low = given.reduce((a, b) => Math.min(a, b))
    const high = given.reduce((a, b) => Math.max(a, b))
    return `${name} from ${show(low)} to ${show(high)}, last ${show(given.at(-1) ?? 0)}`
  })
  return `${label}: ${points} points; ${each.join('; ')}`
}

/** Some air above and below, so that a flat line is seen as one. */
function around(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1]
  const air = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1
  return [low >= 0 && low - air < 0 ? 0 : low - air, high + air]
}

function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia(SCHEME).matches)
  useEffect(() => {
    const query = matchMedia(SCHEME)
    const change = () => setDark(query.matches)
    query.addEventListener('change', change)
    return () => query.removeEventListener('change', change)
  }, [])
  return dark
}
