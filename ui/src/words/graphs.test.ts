import { expect, test } from 'vitest'
import type { Graph, GraphPart } from '../api/types'
import { kindOf, membersOf, stateOf, togetherInWords, trafficInWords } from './graphs'

const model = (name: string, version: number): GraphPart => ({ model: { model: name, version } })
const graph = (spec: Graph['spec'], shape: Graph['shape'] = null, more: Partial<Graph> = {}) =>
  ({ name: 'g', spec, shape, missing: null, ready: true, answered: 0, failed: 0, latency_us_mean: null, ...more }) as Graph

test('the steps of a sequence are told with the versions that answer', () => {
  const inner: GraphPart = { graph: { name: 'blend', shape: { sequence: { steps: [model('a', 1)] } } } }
  const sequence = graph(
    { sequence: ['models:/scale@champion', 'graph:/blend', 'models:/a/b/3'] },
    { sequence: { steps: [model('scale', 7), inner, model('a/b', 3)] } },
  )
  expect(kindOf(sequence)).toBe('sequence')
  expect(togetherInWords(sequence)).toBe('3 steps, one after the other.')
  expect(membersOf(sequence)).toEqual([
    { place: 'step 1', named: 'models:/scale@champion', model: { name: 'scale', alias: 'champion', version: 7 } },
    { place: 'step 2', named: 'graph:/blend', graph: 'blend' },
    { place: 'step 3', named: 'models:/a/b/3', model: { name: 'a/b', version: 3 } },
  ])
})

test('members of an ensemble are told with what they count', () => {
  const ensemble = ['models:/forest@champion', 'models:/small@champion']
  const mean = graph({ ensemble, combine: 'mean', weights: [3, 1] })
  expect(kindOf(mean)).toBe('mean')
  expect(togetherInWords(mean)).toBe('2 members, all asked the same; the mean counts.')
  expect(membersOf(mean).map(({ place }) => place)).toEqual(['weight 75 %', 'weight 25 %'])
  const vote = graph({ ensemble, combine: 'vote', output: 'label' })
  expect(togetherInWords(vote)).toBe('2 members, all asked the same; the label of `label` that most say counts.')
  expect(membersOf(vote).map(({ place }) => place)).toEqual(['same weight', 'same weight'])
})

test('the cases of a switch are told, and who answers the rest', () => {
  const found = graph(
    { switch: 'input.region', cases: { eu: 'models:/a@x', us: 'models:/b@x' }, otherwise: 'models:/c/2' },
    { switch: { cases: { eu: model('a', 1), us: model('b', 4) }, otherwise: model('c', 2) } },
  )
  expect(kindOf(found)).toBe('switch')
  expect(togetherInWords(found)).toBe('3 members; each row is asked of the one that `input.region` says.')
  expect(membersOf(found).map(({ place, model }) => `${place}: ${model?.name} ${model?.version}`)).toEqual([
    'case eu: a 1',
    'case us: b 4',
    'otherwise: c 2',
  ])
})

test('a graph that does not answer says why', () => {
  const spec = { sequence: ['models:/a@x'] }
  expect(stateOf(graph(spec)).word).toBe('answers')
  expect(stateOf(graph(spec, null, { ready: false })).word).toBe('not loaded')
  expect(stateOf(graph(spec, null, { ready: false, missing: 'models:/a@x' })).word).toBe('no version yet')
  expect(membersOf(graph(spec))[0]?.model).toEqual({ name: 'a', alias: 'x', version: undefined })
})

test('traffic is told in one sentence', () => {
  const words = (answered: number, failed: number, latency_us_mean: number | null) =>
    trafficInWords(graph({ sequence: [] }, null, { answered, failed, latency_us_mean }))
  expect(words(0, 0, null)).toBe('No request yet since the versions were loaded.')
  expect(words(1, 0, 1234)).toBe('1 request answered, 1.2 ms on average since the versions were loaded.')
  expect(words(20, 3, 250)).toBe('20 requests answered, 0.25 ms on average, 3 failed since the versions were loaded.')
})
