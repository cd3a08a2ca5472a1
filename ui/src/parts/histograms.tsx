// A column in the reference and in the window: two histograms with the same bins and the same height, and the numbers.

import type { BinShare } from '../api/types'
import { percent } from '../words/format'
import { Table } from './table'

export function Histograms({ column, reference, bins }: { column: string; reference: string; bins: BinShare[] }) {
  const top = Math.max(...bins.map((bin) => Math.max(bin.reference, bin.window)), Number.MIN_VALUE)
  return (
    <>
      <div className="histograms">
        <Bars title={`Reference: ${reference}`} tone="reference" column={column} bins={bins} share={(bin) => bin.reference} top={top} />
        <Bars title="This window" tone="window" column={column} bins={bins} share={(bin) => bin.window} top={top} />
      </div>
      <details>
        <summary>The same as numbers</summary>
        <Table label={`Histogram of ${column}`}>
          <thead>
            <tr>
              <th scope="col">{column}</th>
              <th scope="col" className="number">
                Reference
              </th>
              <th scope="col" className="number">
                Window
              </th>
            </tr>
          </thead>
          <tbody>
            {bins.map((bin) => (
              <tr key={bin.label}>
                <th scope="row">{bin.label}</th>
                <td className="number">{percent(bin.reference)}</td>
                <td className="number">{percent(bin.window)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      </details>
    </>
  )
}

interface BarsProps {
  title: string
  tone: 'reference' | 'window'
  column: string
  bins: BinShare[]
  share: (bin: BinShare) => number
  top: number
}

/** Under each bar its label while there is room, else only the first and the last. */
const LABELS_MAX = 6

function Bars({ title, tone, column, bins, share, top }: BarsProps) {
  const all = bins.length <= LABELS_MAX
  const spoken = bins.map((bin) => `${bin.label}: ${percent(share(bin))}`).join(', ')
  return (
    <figure className={`bars ${tone}`}>
      <figcaption>{title}</figcaption>
      <div className="bars-box" role="img" aria-label={`${column}, ${title}. ${spoken}`}>
        <span className="bars-top">{percent(top)}</span>
        {bins.map((bin) => (
          <i key={bin.label} style={{ height: `${(100 * share(bin)) / top}%` }} title={`${bin.label}: ${percent(share(bin))}`} />
        ))}
      </div>
      <div className={all ? 'bars-labels all' : 'bars-labels'} aria-hidden="true">
        {all ? bins.map(({ label }) => <span key={label}>{label}</span>) : [<span key="first">{bins[0]?.label}</span>, <span key="last">{bins.at(-1)?.label}</span>]}
      </div>
    </figure>
  )
}
