use serde_json::{Value as Json, json};

use super::plots::Style;

/// The templates that are known by name.
pub const TEMPLATES: [&str; 9] = [
    "linear",
    "simple",
    "smooth",
    "scatter",
    "scatter_jitter",
    "confusion",
    "confusion_normalized",
    "bar_horizontal",
    "bar_horizontal_sorted",
];

/// How large a plot is drawn, in pixels.
const SIDE: u32 = 300;

/// A Vega-Lite chart of the points.
pub fn spec(style: &Style, points: Vec<Json>) -> Json {
    let template = style.template.as_deref().unwrap_or("linear");
    let field =
        |name: &str, kind: &str, title: &str| json!({ "field": escaped(name), "type": kind, "title": title });
    let x = field(&style.x, "quantitative", &style.x_label);
    let mut y = field(&style.y, "quantitative", &style.y_label);
    y["scale"] = json!({ "zero": false });
    let several = points.iter().any(|point| point.get("field").is_some());
    let mut color = json!({ "field": "rev", "type": "nominal" });
    if several {
        color = json!({ "field": "line", "type": "nominal" });
    }
    let mut chart = json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": style.title,
        "width": SIDE,
        "height": SIDE,
        "data": { "values": points },
    });
    if several {
        let line = "datum.rev + ' ' + datum.filename + ' ' + datum.field";
        chart["transform"] = json!([{ "calculate": line, "as": "line" }]);
    }
    let (mark, encoding) = match template {
        "scatter" => (
            json!({ "type": "point", "tooltip": { "content": "data" } }),
            json!({ "x": x, "y": y, "color": color }),
        ),
        "scatter_jitter" => {
            let jitter = json!({ "field": "jitter", "type": "quantitative" });
            push(
                &mut chart["transform"],
                json!({ "calculate": "random()", "as": "jitter" }),
            );
            let nominal = field(&style.x, "nominal", &style.x_label);
            let nominal_y = field(&style.y, "nominal", &style.y_label);
            (
                json!({ "type": "point", "tooltip": { "content": "data" } }),
                json!({ "x": nominal, "y": nominal_y, "xOffset": jitter, "yOffset": jitter, "color": color }),
            )
        }
        "confusion" | "confusion_normalized" => {
            return confusion(chart, style, template == "confusion_normalized");
        }
        "bar_horizontal" | "bar_horizontal_sorted" => {
            let mut names = field(&style.y, "nominal", &style.y_label);
            names["sort"] = match template {
                "bar_horizontal" => Json::Null,
                _ => json!("-x"),
            };
            (
                json!({ "type": "bar", "tooltip": { "content": "data" } }),
                json!({ "x": x, "y": names, "color": color, "yOffset": { "field": "rev" } }),
            )
        }
        "smooth" => {
            let smoothed = json!({
                "loess": escaped(&style.y), "on": escaped(&style.x), "groupby": ["rev"],
                "bandwidth": { "signal": "smooth" },
            });
            chart["params"] = json!([{
                "name": "smooth", "value": 0.2,
                "bind": { "input": "range", "min": 0.001, "max": 1, "step": 0.001 },
            }]);
            push(&mut chart["transform"], smoothed);
            if several {
                color = json!({ "field": "rev", "type": "nominal" });
            }
            (
                json!({ "type": "line" }),
                json!({ "x": x, "y": y, "color": color }),
            )
        }
        _ => (
            json!({ "type": "line", "point": template == "linear", "tooltip": { "content": "data" } }),
            json!({ "x": x, "y": y, "color": color }),
        ),
    };
    chart["mark"] = mark;
    chart["encoding"] = encoding;
    chart
}

/// Counts of pairs, in one matrix for each state.
fn confusion(mut chart: Json, style: &Style, normalized: bool) -> Json {
    let (x, y) = (escaped(&style.x), escaped(&style.y));
    let mut transform =
        vec![json!({ "aggregate": [{ "op": "count", "as": "pairs" }], "groupby": ["rev", y, x] })];
    let mut shown = "pairs";
    if normalized {
        transform.push(json!({
            "joinaggregate": [{ "op": "sum", "field": "pairs", "as": "row" }], "groupby": ["rev", y],
        }));
        transform.push(json!({ "calculate": "datum.pairs / datum.row", "as": "share" }));
        shown = "share";
    }
    let axis = |field: &str, title: &str| json!({ "field": field, "type": "nominal", "sort": "ascending", "title": title });
    let format = if normalized { ".2f" } else { "d" };
    chart["transform"] = json!(transform);
    chart["facet"] = json!({ "field": "rev", "type": "nominal" });
    chart["spec"] = json!({
        "width": SIDE, "height": SIDE,
        "encoding": { "x": axis(&x, &style.x_label), "y": axis(&y, &style.y_label) },
        "layer": [
            { "mark": "rect", "encoding": { "color": { "field": shown, "type": "quantitative" } } },
            { "mark": "text", "encoding": {
                "text": { "field": shown, "type": "quantitative", "format": format },
                "color": { "value": "black" },
            } },
        ],
    });
    if let Some(chart) = chart.as_object_mut() {
        chart.remove("width");
        chart.remove("height");
    }
    chart
}

fn push(list: &mut Json, item: Json) {
    match list.as_array_mut() {
        Some(items) => items.push(item),
        None => *list = json!([item]),
    }
}

/// Dots and brackets in a name of a field would be read as a path.
fn escaped(name: &str) -> String {
    name.replace('.', "\\.").replace('[', "\\[").replace(']', "\\]")
}

/// A template of the repository's own, its anchors replaced.
pub fn filled(template: &Json, style: &Style, points: Vec<Json>) -> Json {
    match template {
        Json::String(text) => match text.as_str() {
            "<DVC_METRIC_DATA>" => json!(points),
            "<DVC_METRIC_TITLE>" => json!(style.title),
            "<DVC_METRIC_X>" => json!(style.x),
            "<DVC_METRIC_Y>" => json!(style.y),
            "<DVC_METRIC_X_LABEL>" => json!(style.x_label),
            "<DVC_METRIC_Y_LABEL>" => json!(style.y_label),
            "<DVC_METRIC_COLOR>" => json!({ "field": "rev", "type": "nominal" }),
            "<DVC_METRIC_PLOT_WIDTH>" | "<DVC_METRIC_PLOT_HEIGHT>" => json!(SIDE),
            _ => {
                let text = text
                    .replace("<DVC_METRIC_TITLE>", &style.title)
                    .replace("<DVC_METRIC_X>", &style.x)
                    .replace("<DVC_METRIC_Y>", &style.y);
                Json::String(text)
            }
        },
        Json::Array(items) => items
            .iter()
            .map(|item| filled(item, style, points.clone()))
            .collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), filled(value, style, points.clone())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => template.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_a_chart_of_the_points() {
        let style = Style {
            x: "a.b".into(),
            y: "loss".into(),
            title: "t".into(),
            ..Style::default()
        };
        for template in TEMPLATES {
            let style = Style {
                template: Some(template.into()),
                ..style.clone()
            };
            let chart = spec(&style, vec![json!({"a.b": 1, "loss": 2, "rev": "workspace"})]);
            assert_eq!(chart["data"]["values"][0]["loss"], 2, "{template}");
            assert!(
                chart.get("mark").is_some() || chart.get("spec").is_some(),
                "{template}"
            );
        }
        let chart = spec(&style, Vec::new());
        assert_eq!(chart["encoding"]["x"]["field"], "a\\.b");
        let own = json!({"data": {"values": "<DVC_METRIC_DATA>"}, "title": "<DVC_METRIC_TITLE> of me"});
        assert_eq!(
            filled(&own, &style, Vec::new()),
            json!({"data": {"values": []}, "title": "t of me"})
        );
    }
}
