import { expect, test } from 'vitest'
import type { LineageGraph } from '../api/types'
import { draw, layersOf, pageOf } from './lineage'

function graph(...edges: string[]): LineageGraph {
  const pairs = edges.map((edge) => edge.split('>') as [string, string])
  const ids = [...new Set(pairs.flat())]
  return {
    nodes: ids.map((id) => ({ id, kind: 'data', title: id, details: null })),
    edges: pairs.map(([from, to]) => ({ from, to, relation: 'read' })),
  }
}

const names = (of: LineageGraph) => layersOf(of).map((layer) => layer.map(({ id }) => id).join(' '))

test('a node lies behind the farthest node that leads to it', () => {
  expect(names(graph('version>run', 'run>prepare', 'run>train', 'prepare>csv', 'train>csv', 'run>commit'))).toEqual([
    'version',
    'run',
    'prepare train commit',
    'csv',
  ])
  expect(names(graph('a>b', 'b>c', 'a>c'))).toEqual(['a', 'b', 'c'])
})

test('a cycle ends, and an edge to nowhere is left out', () => {
  expect(layersOf(graph('a>b', 'b>a')).flat()).toHaveLength(2)
  expect(draw({ nodes: graph('a>b').nodes, edges: [{ from: 'a', to: 'gone', relation: 'read' }] }).placed).toHaveLength(2)
})

test('no two nodes are drawn on each other', () => {
  const { placed } = draw(graph('r>a', 'r>b', 'a>x', 'a>y', 'b>y', 'b>z'))
  expect(new Set(placed.map(({ x, y }) => `${x} ${y}`)).size).toBe(placed.length)
})

test('nodes lead to their pages', () => {
  const page = (kind: string, id: string) => pageOf({ kind, id, title: '', details: null })
  expect(page('run', 'run/ab')).toBe('/runs/ab')
  expect(page('model version', 'model version/bike-demand/3')).toBe('/models/bike-demand?version=3')
  expect(page('deployment', 'deployment/d')).toBe('/deployments/d')
  expect(page('data', 'data/hour.csv@a1')).toBeNull()
})
