//! Plots as one page that needs nothing else: each chart drawn as SVG, with its Vega-Lite text beside it for those who
//! want to draw it otherwise.

use std::collections::BTreeMap;
use std::fmt::Write;

use lathe_pipeline::Style;
use serde_json::Value as Json;

/// A chart or a picture of one or several states.
pub struct Drawn {
    /// The plot's id.
    pub id: String,
    /// The states in it.
    pub revisions: Vec<String>,
    /// How it is drawn.
    pub style: Style,
    /// The chart.
    pub vega: Option<Json>,
    /// The picture, as an address that holds it.
    pub image: Option<String>,
}

const COLORS: [&str; 8] = [
    "#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac",
];
/// Of the area that points are drawn in.
const SIDE: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 10.0;
/// Of the whole drawing.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 360.0;
/// More marks make no drawing clearer.
const POINTS_MAX: usize = 20_000;

/// The page.
pub fn html(plots: &[Drawn]) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Plots</title>\n<style>body{font:14px \
         system-ui,sans-serif;margin:2rem}main{display:flex;flex-wrap:wrap;gap:2rem}figure{margin:0}figcaption{font-\
         weight:600}pre{max-width:35rem;max-height:20rem;overflow:auto}img{max-width:35rem}</style></head>\n<body><main>\n",
    );
    for plot in plots {
        let title = escaped(&format!("{} ({})", plot.style.title, plot.revisions.join(", ")));
        let _ = write!(page, "<figure><figcaption>{title}</figcaption>");
        if let Some(image) = &plot.image {
            let _ = write!(page, "<img alt=\"{title}\" src=\"{image}\">");
        }
        if let Some(chart) = &plot.vega {
            page.push_str(&svg(&plot.style, chart));
            let text = serde_json::to_string_pretty(chart).unwrap_or_default();
            let _ = write!(
                page,
                "<details><summary>Vega-Lite</summary><pre>{}</pre></details>",
                escaped(&text)
            );
        }
        page.push_str("</figure>\n");
    }
    page.push_str("</main></body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// What of a chart's data is drawn in one colour.
type Series = BTreeMap<String, Vec<(f64, f64)>>;

fn svg(style: &Style, chart: &Json) -> String {
    let rows = chart["data"]["values"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let template = style.template.as_deref().unwrap_or("linear");
    if template.starts_with("confusion") {
        return matrix(style, rows);
    }
    let mut series = Series::new();
    for row in rows.iter().take(POINTS_MAX) {
        let name = ["rev", "filename", "field"]
            .iter()
            .filter_map(|key| row.get(key)?.as_str());
        let name = name.collect::<Vec<_>>().join(" ");
        if let (Some(x), Some(y)) = (number(row.get(&style.x)), number(row.get(&style.y))) {
            series.entry(name).or_default().push((x, y));
        }
    }
    if series.is_empty() {
        return format!(
            "<p>no numbers in <code>{}</code> and <code>{}</code></p>",
            escaped(&style.x),
            escaped(&style.y)
        );
    }
    let points = series.values().flatten();
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.copied().unzip();
    let (x, y) = (Axis::of(&xs), Axis::of(&ys));
    let mut drawing = frame(style, &x, &y);
    for (index, (name, points)) in series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let place = |&(px, py): &(f64, f64)| (LEFT + x.at(px), TOP + SIDE - y.at(py));
        if !template.starts_with("scatter") {
            let line: Vec<String> = points
                .iter()
                .map(place)
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let _ = write!(
                drawing,
                "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>",
                line.join(" ")
            );
        }
        for point in points {
            let (cx, cy) = place(point);
            let told = escaped(&format!("{name}: {}, {}", point.0, point.1));
            let _ = write!(
                drawing,
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2\" fill=\"{color}\"><title>{told}</title></circle>"
            );
        }
        let top = TOP + 14.0 * (index as f64 + 1.0);
        let left = LEFT + SIDE + 12.0;
        let _ = write!(
            drawing,
            "<text x=\"{left}\" y=\"{top}\" fill=\"{color}\">{}</text>",
            escaped(name)
        );
    }
    drawing.push_str("</svg>");
    drawing
}

fn number(value: Option<&Json>) -> Option<f64> {
    value?.as_f64().filter(|number| number.is_finite())
}

fn opened() -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"11\" role=\"img\">"
    )
}

/// Both axes with their marks and words.
fn frame(style: &Style, x: &Axis, y: &Axis) -> String {
    let mut drawing = opened();
    let (bottom, right) = (TOP + SIDE, LEFT + SIDE);
    let _ = write!(
        drawing,
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>"
    );
    for mark in x.marks() {
        let at = LEFT + x.at(mark);
        let _ = write!(
            drawing,
            "<path d=\"M{at:.1} {bottom}v4\" stroke=\"#888\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            short(mark)
        );
    }
    for mark in y.marks() {
        let at = bottom - y.at(mark);
        let _ = write!(
            drawing,
            "<path d=\"M{LEFT} {at:.1}h-4\" stroke=\"#888\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(mark)
        );
    }
    let _ = write!(
        drawing,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text transform=\"translate(12 {}) rotate(-90)\" \
         text-anchor=\"middle\">{}</text>",
        LEFT + SIDE / 2.0,
        bottom + 34.0,
        escaped(&style.x_label),
        TOP + SIDE / 2.0,
        escaped(&style.y_label)
    );
    drawing
}

fn short(number: f64) -> String {
    let text = format!("{number:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.len() <= 8 && (number == 0.0 || 1e-4 <= number.abs()) {
        text.to_owned()
    } else {
        format!("{number:.1e}")
    }
}

struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low < high {
            Self { low, high }
        } else {
            Self {
                low: low - 0.5,
                high: high + 0.5,
            }
        }
    }

    fn at(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low) * SIDE
    }

    /// About five round numbers.
    fn marks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0];
        let step = power
            * steps
                .into_iter()
                .find(|step| rough <= step * power)
                .unwrap_or(10.0);
        let first = (self.low / step).ceil();
        (0..12)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|mark| *mark <= self.high + step * 1e-9)
            .collect()
    }
}

/// Counts of pairs, one matrix for each state.
fn matrix(style: &Style, rows: &[Json]) -> String {
    let text = |value: Option<&Json>| match value {
        Some(Json::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let mut counts: BTreeMap<String, BTreeMap<(String, String), usize>> = BTreeMap::new();
    for row in rows {
        let pair = (text(row.get(&style.y)), text(row.get(&style.x)));
        *counts
            .entry(text(row.get("rev")))
            .or_default()
            .entry(pair)
            .or_default() += 1;
    }
    let normalized = style.template.as_deref() == Some("confusion_normalized");
    let mut page = String::new();
    for (revision, pairs) in counts {
        let mut labels: Vec<&String> = pairs.keys().flat_map(|(y, x)| [y, x]).collect();
        labels.sort();
        labels.dedup();
        let most = pairs.values().copied().max().unwrap_or(1) as f64;
        let _ = write!(
            page,
            "<table><caption>{}</caption><tr><th>{} \\ {}</th>",
            escaped(&revision),
            escaped(&style.y_label),
            escaped(&style.x_label)
        );
        for label in &labels {
            let _ = write!(page, "<th>{}</th>", escaped(label));
        }
        page.push_str("</tr>");
        for y in &labels {
            let row: usize = labels
                .iter()
                .filter_map(|x| pairs.get(&((*y).clone(), (*x).clone())))
                .sum();
            let _ = write!(page, "<tr><th>{}</th>", escaped(y));
            for x in &labels {
                let count = pairs.get(&((*y).clone(), (*x).clone())).copied().unwrap_or(0);
                let shown = match normalized {
                    true => format!("{:.2}", count as f64 / row.max(1) as f64),
                    false => count.to_string(),
                };
                let share = count as f64 / most;
                let _ = write!(
                    page,
                    "<td style=\"background:rgba(76,120,168,{share:.2});text-align:center\">{shown}</td>"
                );
            }
            page.push_str("</tr>");
        }
        page.push_str("</table>");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_charts_and_no_markup_of_the_data() {
        let style = Style {
            x: "step".into(),
            y: "loss".into(),
            title: "<b>".into(),
            ..Style::default()
        };
        let values =
            serde_json::json!([{"step": 0, "loss": 1.5, "rev": "a"}, {"step": 1, "loss": 0.5, "rev": "a<"}]);
        let plot = |template: &str| Drawn {
            id: "p".into(),
            revisions: vec!["a".into()],
            style: Style {
                template: Some(template.into()),
                ..style.clone()
            },
            vega: Some(serde_json::json!({ "data": { "values": values } })),
            image: None,
        };
        let page = html(&[plot("linear"), plot("confusion")]);
        assert!(page.contains("<polyline") && page.contains("<table>"), "{page}");
        assert!(
            page.contains("&lt;b&gt;") && page.contains("a&lt;") && !page.contains("<b>"),
            "{page}"
        );
    }

    #[test]
    fn marks_are_round_and_within_the_axis() {
        assert_eq!(Axis::of(&[0.0, 10.0]).marks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!(!Axis::of(&[3.0, 3.0]).marks().is_empty());
    }
}
