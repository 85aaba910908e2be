/** One stroke: points x0, y0, x1, y1, … in the unit square, x to the right and y down. */
export type Stroke = readonly number[]

/** Part of an ellipse, angles in degrees: 0 points right, 90 down. */
function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number): Stroke {
  const steps = Math.max(3, Math.ceil(Math.abs(to - from) / 24))
  const points: number[] = []
  for (let i = 0; i <= steps; i++) {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 180
    points.push(cx + rx * Math.cos(angle), cy + ry * Math.sin(angle))
  }
  return points
}

/** A cubic Bézier curve through eight coordinates. */
function curve(...[x0, y0, x1, y1, x2, y2, x3, y3]: readonly number[]): Stroke {
  const points: number[] = []
  for (let i = 0; i <= 10; i++) {
    const t = i / 10
    const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3]
    points.push(a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3)
  }
  return points
}

/** Straight lines, cut in pieces so that the elastic distortion can bend them. */
function lines(...corners: readonly number[]): Stroke {
  const points = [corners[0], corners[1]]
  for (let i = 2; i < corners.length; i += 2) {
    const [x0, y0, x1, y1] = corners.slice(i - 2, i + 2)
    const pieces = Math.max(1, Math.round(Math.hypot(x1 - x0, y1 - y0) / 0.16))
    for (let piece = 1; piece <= pieces; piece++)
      points.push(x0 + ((x1 - x0) * piece) / pieces, y0 + ((y1 - y0) * piece) / pieces)
  }
  return points
}

/** The ways to write each digit, drawn by hand for Espalier: `skeletons[digit][variant]` is a list of strokes. */
export const skeletons: readonly (readonly (readonly Stroke[])[])[] = [
  [
    [arc(0.5, 0.5, 0.3, 0.45, 0, 360)],
    [arc(0.5, 0.5, 0.2, 0.45, 0, 360)],
    [arc(0.5, 0.5, 0.28, 0.44, -70, 265)],
    [arc(0.5, 0.5, 0.36, 0.4, 0, 360)],
  ],
  [
    [lines(0.5, 0.05, 0.5, 0.95)],
    [lines(0.3, 0.26, 0.52, 0.05, 0.52, 0.95)],
    [lines(0.32, 0.24, 0.52, 0.05, 0.52, 0.95), lines(0.28, 0.95, 0.76, 0.95)],
    [lines(0.6, 0.05, 0.42, 0.95)],
  ],
  [
    [arc(0.48, 0.31, 0.28, 0.26, -170, 30), lines(0.72, 0.44, 0.18, 0.93, 0.84, 0.93)],
    [
      curve(0.2, 0.25, 0.35, -0.1, 0.95, 0.05, 0.7, 0.45),
      curve(0.7, 0.45, 0.5, 0.75, 0.2, 1.05, 0.25, 0.8),
      curve(0.25, 0.8, 0.4, 0.7, 0.55, 1.0, 0.85, 0.9),
    ],
    [curve(0.2, 0.15, 0.6, -0.05, 1.0, 0.2, 0.65, 0.55), lines(0.65, 0.55, 0.2, 0.92, 0.8, 0.94)],
  ],
  [
    [arc(0.45, 0.28, 0.27, 0.23, -150, 90), arc(0.45, 0.72, 0.31, 0.23, -90, 150)],
    [lines(0.2, 0.07, 0.76, 0.07, 0.44, 0.42), arc(0.44, 0.68, 0.3, 0.26, -90, 150)],
    [curve(0.22, 0.12, 0.6, -0.1, 0.95, 0.3, 0.4, 0.46), curve(0.4, 0.46, 1.0, 0.5, 0.9, 1.1, 0.2, 0.88)],
  ],
  [
    [lines(0.3, 0.05, 0.2, 0.58, 0.84, 0.58), lines(0.66, 0.25, 0.62, 0.95)],
    [lines(0.66, 0.95, 0.66, 0.05, 0.14, 0.66, 0.88, 0.66)],
    [curve(0.24, 0.08, 0.18, 0.4, 0.2, 0.6, 0.72, 0.5), lines(0.76, 0.06, 0.7, 0.5, 0.64, 0.95)],
  ],
  [
    [lines(0.76, 0.07, 0.3, 0.07, 0.26, 0.44), arc(0.46, 0.68, 0.31, 0.26, -125, 140)],
    [lines(0.3, 0.08, 0.28, 0.45), curve(0.28, 0.45, 0.95, 0.3, 0.95, 1.0, 0.2, 0.9), lines(0.3, 0.08, 0.78, 0.06)],
    [curve(0.8, 0.08, 0.5, 0.04, 0.28, 0.06, 0.24, 0.45), curve(0.24, 0.45, 0.6, 0.35, 1.2, 0.75, 0.18, 0.94)],
  ],
  [
    [curve(0.7, 0.06, 0.35, 0.15, 0.2, 0.5, 0.22, 0.7), arc(0.48, 0.71, 0.26, 0.23, 0, 360)],
    [lines(0.6, 0.05, 0.26, 0.62), arc(0.5, 0.72, 0.27, 0.22, 0, 360)],
    [curve(0.4, 0.04, 0.2, 0.3, 0.15, 0.95, 0.5, 0.94), curve(0.5, 0.94, 0.95, 0.9, 0.8, 0.4, 0.26, 0.66)],
  ],
  [
    [lines(0.18, 0.08, 0.82, 0.08, 0.42, 0.95)],
    [lines(0.18, 0.08, 0.82, 0.08, 0.42, 0.95), lines(0.34, 0.5, 0.76, 0.5)],
    [lines(0.18, 0.24, 0.2, 0.08, 0.82, 0.08), curve(0.82, 0.08, 0.6, 0.35, 0.45, 0.6, 0.46, 0.95)],
  ],
  [
    [arc(0.5, 0.27, 0.22, 0.21, 0, 360), arc(0.5, 0.71, 0.28, 0.23, 0, 360)],
    [
      curve(0.72, 0.18, 0.5, -0.12, 0.1, 0.2, 0.5, 0.46),
      curve(0.5, 0.46, 1.0, 0.75, 0.7, 1.0, 0.5, 0.94),
      curve(0.5, 0.94, 0.1, 0.94, 0.15, 0.66, 0.5, 0.46),
      curve(0.5, 0.46, 0.7, 0.36, 0.8, 0.26, 0.72, 0.18),
    ],
    [arc(0.54, 0.28, 0.19, 0.22, 0, 360), arc(0.46, 0.72, 0.22, 0.22, 0, 360)],
  ],
  [
    [arc(0.48, 0.3, 0.26, 0.24, 0, 360), lines(0.74, 0.3, 0.7, 0.95)],
    [arc(0.48, 0.3, 0.25, 0.24, 0, 360), curve(0.73, 0.3, 0.78, 0.7, 0.65, 0.98, 0.28, 0.9)],
    [
      curve(0.74, 0.2, 0.5, -0.1, 0.1, 0.3, 0.3, 0.5),
      curve(0.3, 0.5, 0.5, 0.6, 0.75, 0.4, 0.74, 0.2),
      lines(0.74, 0.2, 0.58, 0.95),
    ],
  ],
]
