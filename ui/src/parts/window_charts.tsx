// The judged error and the share of moved columns, window by window, under one cursor.

import { useMemo } from 'react'
import type { Window } from '../api/types'
import { percent } from '../words/format'
import { Chart, type Series } from './chart'

/** `windows` is oldest first. `errorBefore`: the error when the model was evaluated, if an alert knows it. */
export function WindowCharts({ windows, errorBefore }: { windows: Window[]; errorBefore?: number | null | undefined }) {
  const { x, error, share, metric } = useMemo(() => seriesOf(windows, errorBefore ?? null), [windows, errorBefore])
  return (
    <div className="window-charts">
      {metric ? (
        <Chart label={`${metric} per window, on labels that arrived`} x={x} axis="utc" series={error} sync="windows" />
      ) : (
        <p className="soft">No labels have arrived yet, so the error of the answers is not known.</p>
      )}
      <Chart label="share of columns that moved" x={x} axis="utc" series={share} sync="windows" range={[0, 1]} show={percent} height={150} />
    </div>
  )
}

function seriesOf(windows: Window[], errorBefore: number | null) {
  const metric = windows.findLast(({ performance }) => performance)?.performance?.metric
  const threshold = windows.findLast(({ drift }) => drift)?.drift?.share_threshold ?? null
  const level = (value: number) => windows.map(() => value)
  const judged = windows.map(({ performance }) => (performance?.metric === metric ? (performance?.value ?? null) : null))
  const error: Series[] = [{ name: metric ?? 'error', values: judged, line: 1 }]
  if (errorBefore !== null) error.push({ name: 'when evaluated', values: level(errorBefore), line: 3, dashed: true })
  const share: Series[] = [{ name: 'moved', values: windows.map(({ drift }) => drift?.share ?? null), line: 2 }]
  if (threshold !== null) share.push({ name: 'drift from', values: level(threshold), line: 3, dashed: true })
  return { x: windows.map(({ start }) => start), error, share, metric }
}
