// Which answers an event makes stale: pure, so that it can be read and tested as a table.

import type { LatheEvent } from './types'

export type Key = readonly string[]

export function staleAfter(event: LatheEvent): Key[] {
  const [noun = ''] = event.kind.split('.')
  const [, first = '', second = ''] = event.subject.split('/')
  const lineage: Key = ['lineage']
  switch (noun) {
    case 'run':
    case 'execution':
      return [['experiments'], ['runs'], ['run', first], lineage]
    case 'experiment':
      return [['experiments'], ['runs']]
    case 'model':
    case 'version':
    case 'alias':
      return [['models'], ['deployments'], lineage]
    case 'gate':
      return [['verdicts', first, second], ['models']]
    case 'deployment':
    case 'graph':
    case 'project':
    case 'rollout':
      return [['deployments'], ['models']]
    case 'window':
      return [['windows', first]]
    case 'alert':
      return [['alerts'], ['windows', first]]
    case 'job':
    case 'trigger':
      return [['jobs']]
    default:
      // A kind this page was not told of: better to ask again too often than to show what is no longer true.
      return [[]]
  }
}
