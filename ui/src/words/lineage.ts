// Where the nodes of a lineage graph are drawn: one column a step away from the start, neighbours near each other.

import type { LineageGraph, LineageNode } from '../api/types'

export const NODE = { width: 168, height: 52, gapX: 36, gapY: 14 }

export interface Placed {
  node: LineageNode
  layer: number
  x: number
  y: number
}

export interface Drawing {
  placed: Placed[]
  width: number
  height: number
}

/** The nodes in layers, nearest first: a node lies one layer after the farthest node that leads to it. */
export function layersOf({ nodes, edges }: LineageGraph): LineageNode[][] {
  const depth = new Map(nodes.map(({ id }) => [id, 0]))
  // A graph without cycles settles within as many rounds as it has nodes; a cycle ends there too.
  for (let round = 0; round < nodes.length; round += 1) {
    let moved = false
    for (const { from, to } of edges) {
      const [before, after] = [depth.get(from), depth.get(to)]
      if (before === undefined || after === undefined || after > before || from === to) continue
      if (before + 1 >= nodes.length) continue
      depth.set(to, before + 1)
      moved = true
    }
    if (!moved) break
  }
  const layers: LineageNode[][] = []
  for (const node of nodes) {
    const layer = depth.get(node.id) ?? 0
    ;(layers[layer] ??= []).push(node)
  }
  return layers.filter((layer) => layer !== undefined)
}

export function draw(graph: LineageGraph): Drawing {
  const layers = layersOf(graph)
  const tallest = Math.max(0, ...layers.map((layer) => layer.length))
  const height = tallest * (NODE.height + NODE.gapY) - (tallest ? NODE.gapY : 0)
  const placed = new Map<string, Placed>()
  layers.forEach((layer, column) => {
    const wanted = (node: LineageNode) => {
      const ys = graph.edges.flatMap(({ from, to }) => (to === node.id ? (placed.get(from)?.y ?? []) : []))
      return ys.length ? ys.reduce((sum, y) => sum + y, 0) / ys.length : 0
    }
    const ordered = layer.map((node) => ({ node, y: wanted(node) })).sort((a, b) => a.y - b.y)
    const used = ordered.length * (NODE.height + NODE.gapY) - NODE.gapY
    ordered.forEach(({ node }, row) => {
      placed.set(node.id, {
        node,
        layer: column,
        x: column * (NODE.width + NODE.gapX),
        y: (height - used) / 2 + row * (NODE.height + NODE.gapY),
      })
    })
  })
  const width = layers.length * (NODE.width + NODE.gapX) - (layers.length ? NODE.gapX : 0)
  return { placed: [...placed.values()], width, height }
}

/** The page of a node, if it has one. */
export function pageOf({ kind, id }: LineageNode): string | null {
  const key = id.slice(id.indexOf('/') + 1)
  switch (kind) {
    case 'run':
      return `/runs/${encodeURIComponent(key)}`
    case 'deployment':
      return `/deployments/${encodeURIComponent(key)}`
    case 'model version': {
      const cut = key.lastIndexOf('/')
      return cut < 0 ? null : `/models/${encodeURIComponent(key.slice(0, cut))}?version=${key.slice(cut + 1)}`
    }
    default:
      return null
  }
}
