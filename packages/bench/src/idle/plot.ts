/** The plot: CPU time per request over the number of idle connections, a line for each server, as SVG. */
import type { Spec } from 'vega'
import type { IdleReport } from './report.js'

const FONT = 'Helvetica, Arial, sans-serif'
const INK = '#222222'
const MUTED = '#666666'
const RULE = '#e3e3e3'
/** Of Okabe and Ito, told apart with any colour vision; the first is that of node:http. */
const COLOURS = ['#555555', '#d55e00', '#e69f00', '#0072b2', '#56b4e9', '#009e73', '#cc79a7']
const SHAPES = ['square', 'triangle-up', 'diamond', 'circle', 'triangle-down', 'cross', 'triangle-right']

/** One point of a line. */
interface Point {
  readonly server: string
  readonly idle: number
  readonly cpu: number
}

/** Draws the medians; a server without any has no line. */
export async function plotIdle(report: IdleReport): Promise<string> {
  const { parse, View } = await import('vega') // takes a while to load, and only a plot needs it
  const view = new View(parse(specOf(report)), { renderer: 'none' })
  try {
    return `${await view.toSVG()}\n`
  } finally {
    view.finalize()
  }
}

function pointsOf({ rows }: IdleReport): readonly Point[] {
  return rows.flatMap(({ server, cells }) =>
    cells.map(({ idle, cpuMicrosecondsPerRequest: cpu }) => ({ server, idle, cpu })),
  )
}

function specOf(report: IdleReport): Spec {
  const points = pointsOf(report)
  const servers = [...new Set(points.map((point) => point.server))]
  const title = {
    titleFont: FONT,
    titleFontSize: 13,
    titleFontWeight: 'normal' as const,
    titleColor: INK,
    titlePadding: 12,
  }
  const labels = { labelFont: FONT, labelFontSize: 12, labelColor: MUTED, labelPadding: 6 }
  const lines = { domainColor: '#999999', tickColor: '#999999', gridColor: RULE }
  const colour = { scale: 'colour', field: 'server' }
  const place = { x: { scale: 'x', field: 'idle' }, y: { scale: 'y', field: 'cpu' } }
  return {
    width: 720,
    height: 400,
    padding: 20,
    background: 'white',
    title: {
      text: 'What idle connections cost the active ones',
      subtitle: subtitleOf(report),
      anchor: 'start',
      font: FONT,
      fontSize: 17,
      color: INK,
      subtitleFont: FONT,
      subtitleFontSize: 12,
      subtitleColor: MUTED,
      subtitlePadding: 6,
      offset: 18,
    },
    data: [{ name: 'points', values: [...points] }],
    scales: [
      { name: 'x', type: 'linear', range: 'width', domain: { data: 'points', field: 'idle' }, zero: true },
      { name: 'y', type: 'linear', range: 'height', domain: { data: 'points', field: 'cpu' }, zero: true, nice: true },
      { name: 'colour', type: 'ordinal', domain: servers, range: COLOURS },
      { name: 'shape', type: 'ordinal', domain: servers, range: SHAPES },
    ],
    axes: [
      {
        orient: 'bottom',
        scale: 'x',
        title: 'idle keep-alive connections',
        format: ',d',
        tickCount: 8,
        ...title,
        ...labels,
        ...lines,
      },
      {
        orient: 'left',
        scale: 'y',
        title: 'CPU time per request (µs)',
        grid: true,
        tickCount: 6,
        domain: false,
        ticks: false,
        ...title,
        ...labels,
        ...lines,
      },
    ],
    legends: [
      {
        stroke: 'colour',
        shape: 'shape',
        fill: 'colour',
        symbolSize: 70,
        rowPadding: 6,
        offset: 24,
        labelFont: FONT,
        labelFontSize: 13,
        labelColor: INK,
      },
    ],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'server' } },
        marks: [
          {
            type: 'line',
            from: { data: 'line' },
            encode: { enter: { ...place, stroke: colour, strokeWidth: { value: 2 } } },
          },
          {
            type: 'symbol',
            from: { data: 'line' },
            encode: {
              enter: {
                ...place,
                fill: colour,
                shape: { scale: 'shape', field: 'server' },
                size: { value: 60 },
                stroke: { value: 'white' },
              },
            },
          },
        ],
      },
    ],
  }
}

function subtitleOf({ environment, connections }: IdleReport): string {
  const { cpu, cpus, node, load, rounds, seconds } = environment
  const rounded = rounds === 1 ? 'one round' : `medians of ${rounds} rounds`
  return `${connections} active keep-alive connections by ${load}, ${rounded} of ${seconds} s; Node ${node}, ${cpus} × ${cpu}`
}
