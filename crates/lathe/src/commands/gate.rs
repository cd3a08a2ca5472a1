use lathe_types::gates::{GateOutcome, GateVerdict};
use serde_json::json;

use super::Call;
use crate::background;
use crate::client::{Client, segment};
use crate::exit::{Outcome, hinted};
use crate::terminal::{self, Style, paint};

/// Judge a model version by the rules of its gate in `lathe.toml`.
///
/// The verdict is stored with every rule's values. Exit codes: 0 pass, 3 fail, 4 inconclusive, 5 waiting for approval.
///
/// Examples:
///   lathe gate bike-demand                  the newest version
///   lathe gate bike-demand --version 3
///   lathe gate bike-demand --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The model, and so the gate.
    model: String,
    /// The version; the newest if absent.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
}

/// Asks for the verdict and prints it.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client()?;
    background::declare_project(&client, call)?;
    let version = match args.version {
        Some(version) => version,
        None => newest_version(&client, &args.model)?,
    };
    let key = format!("gate/{}/{version}", args.model);
    let result = background::run_job(
        &client,
        "gate",
        &key,
        json!({ "model": args.model, "version": version }),
    )?;
    let verdict: GateVerdict = serde_json::from_value(result)?;
    if call.json {
        terminal::print_json(&verdict)?;
    } else {
        print_verdict(&verdict);
    }
    Ok(match verdict.outcome {
        GateOutcome::Pass => Outcome::Done,
        GateOutcome::Fail => Outcome::GateFailed,
        GateOutcome::Inconclusive => Outcome::Inconclusive,
        GateOutcome::Waiting => Outcome::Waiting,
    })
}

/// The newest version of a model.
pub fn newest_version(client: &Client, model: &str) -> anyhow::Result<u32> {
    let filter = segment(&format!("name='{}'", model.replace('\'', "")));
    let path = format!(
        "/api/2.0/mlflow/model-versions/search?filter={filter}&max_results=1&order_by={}",
        segment("version_number DESC")
    );
    let answer: serde_json::Value = client.get(&path)?;
    let version = answer["model_versions"][0]["version"]
        .as_str()
        .and_then(|text| text.parse().ok());
    version.ok_or_else(|| {
        hinted(
            format!("the model `{model}` has no version"),
            "register one with `lathe run`",
        )
    })
}

/// The verdict as people read it.
pub fn print_verdict(verdict: &GateVerdict) {
    let against = match verdict.champion {
        Some(champion) => format!(" against version {champion}"),
        None => " (no champion yet)".into(),
    };
    println!(
        "{} {} version {}{against}",
        word(verdict.outcome),
        verdict.model,
        verdict.version
    );
    for rule in &verdict.rules {
        println!(
            "  {} {:<12} {}",
            word(rule.outcome),
            rule.rule,
            paint(&rule.expression, Style::Faint)
        );
        let scalars = rule.values.iter().filter(|(_, value)| !value.is_object());
        let values: Vec<String> = scalars.map(|(path, value)| format!("{path} = {value}")).collect();
        let values = if values.is_empty() {
            String::new()
        } else {
            format!(": {}", values.join(", "))
        };
        println!("       {:<12} {}{values}", "", rule.reason);
    }
}

/// `pass`, `FAIL`…, four wide.
pub fn word(outcome: GateOutcome) -> String {
    match outcome {
        GateOutcome::Pass => paint("pass", Style::Good),
        GateOutcome::Fail => paint("FAIL", Style::Bad),
        GateOutcome::Inconclusive => paint("open", Style::Warn),
        GateOutcome::Waiting => paint("wait", Style::Warn),
    }
}
