use std::time::Duration;

use lathe_types::deployments::{Deployment, Fault, Rollout, RolloutState};
use serde_json::json;

use super::{Call, gate};
use crate::background;
use crate::client::{Client, segment};
use crate::exit::{Outcome, hinted};
use crate::terminal::{self, Style, paint};

/// Bring a model version to a deployment, step by step as `lathe.toml` says.
///
/// The version must have passed its gate. Without a version in place the alias moves at once; otherwise the rollout
/// goes through its steps, judged by the `abort` rule, and the alias moves at the end. Exit code 3: the version did
/// not pass its gate, or (with `--wait`) was rolled back.
///
/// Examples:
///   lathe deploy bike-demand                        the newest version
///   lathe deploy bike-demand --version 4 --wait     and wait for the rollout's end
///   lathe deploy bike-demand --fault delay=40ms     rehearse: make its answers slow on purpose
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The deployment.
    deployment: String,
    /// The version; the newest if absent.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// A fault of the new version, put in on purpose: `delay=40ms`, `errors=0.2`, or both with a comma.
    #[arg(long, value_parser = parse_fault)]
    fault: Option<Fault>,
    /// Wait until the version is promoted or rolled back.
    #[arg(long)]
    wait: bool,
    /// Deploy although the gate's verdict is missing or negative.
    #[arg(long)]
    ungated: bool,
}

/// Starts the rollout.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client()?;
    background::declare_project(&client, call)?;
    let path = format!("/api/v1/deployments/{}", segment(&args.deployment));
    let before: DeploymentAnswer = client.get(&path)?;
    let (model, alias) = before.deployment.spec.model_alias().ok_or_else(|| {
        hinted(
            format!("the deployment `{}` names no alias", args.deployment),
            "write `model = \"models:/NAME@ALIAS\"`",
        )
    })?;
    let version = match args.version {
        Some(version) => version,
        None => gate::newest_version(&client, model)?,
    };
    if before.deployment.stable == Some(version) {
        if call.json {
            terminal::print_json(&json!({ "rollout": null, "version": version }))?;
        } else {
            println!("version {version} of {model} answers already");
        }
        return Ok(Outcome::Done);
    }
    if before.deployment.stable.is_some() && matches!(client, Client::Embedded(_)) {
        return Err(hinted(
            "a rollout goes by the traffic that a server sees, and none is named",
            "start `lathe server`, and say `--server URL`",
        ));
    }
    let payload = json!({
        "deployment": args.deployment, "version": version, "fault": args.fault, "ungated": args.ungated,
    });
    let key = format!("deploy/{}", args.deployment);
    let result = background::run_job(&client, "deploy", &key, payload)?;
    if let Some(refusal) = result.get("refused").and_then(|text| text.as_str()) {
        if call.json {
            terminal::print_json(&result)?;
        } else {
            println!("{} {refusal}", paint("refused", Style::Bad));
        }
        return Ok(Outcome::GateFailed);
    }
    let rollout: Option<Rollout> = serde_json::from_value(result["rollout"].clone())?;
    let Some(rollout) = rollout else {
        if call.json {
            terminal::print_json(&result)?;
        } else {
            println!(
                "{} {model} version {version} is `{alias}` now",
                paint("deployed", Style::Good)
            );
        }
        return Ok(Outcome::Done);
    };
    if !args.wait {
        if call.json {
            terminal::print_json(&result)?;
        } else {
            println!(
                "rollout {} of version {version} started; follow it with `lathe deploy --wait` or on the web page",
                rollout.id
            );
        }
        return Ok(Outcome::Done);
    }
    let rollout = wait_for(&client, &path, &rollout, call.json)?;
    if call.json {
        terminal::print_json(&rollout)?;
    } else {
        let reason = rollout.reason.as_deref().unwrap_or("");
        match rollout.state {
            RolloutState::RolledBack => println!("{} {reason}", paint("rolled back", Style::Bad)),
            _ => println!("{} {reason}", paint("promoted", Style::Good)),
        }
    }
    Ok(if rollout.state == RolloutState::RolledBack {
        Outcome::GateFailed
    } else {
        Outcome::Done
    })
}

/// What `/api/v1/deployments/{name}` answers.
#[derive(Debug, serde::Deserialize)]
pub struct DeploymentAnswer {
    /// The deployment as it stands.
    #[serde(flatten)]
    pub deployment: Deployment,
}

fn wait_for(client: &Client, path: &str, started: &Rollout, quiet: bool) -> anyhow::Result<Rollout> {
    let mut step = usize::MAX;
    loop {
        let rollouts: RolloutsAnswer = client.get(&format!("{path}/rollouts?limit=20"))?;
        let now = rollouts
            .rollouts
            .into_iter()
            .find(|rollout| rollout.id == started.id);
        let now = now.ok_or_else(|| anyhow::anyhow!("the rollout {} is gone", started.id))?;
        if now.state != RolloutState::Running {
            return Ok(now);
        }
        if now.step != step && !quiet {
            println!("step {} of version {}", now.step + 1, now.to_version);
        }
        step = now.step;
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What `/api/v1/deployments/{name}/rollouts` answers.
#[derive(Debug, serde::Deserialize)]
pub struct RolloutsAnswer {
    /// Newest first.
    pub rollouts: Vec<Rollout>,
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let mut fault = Fault::default();
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("delay", length)) => {
                let span: lathe_types::Span = length.parse().map_err(|error| format!("{error}"))?;
                fault.delay_ms =
                    u64::try_from(span.0).map_err(|_| "a delay cannot be negative".to_owned())?;
            }
            Some(("errors", share)) => {
                fault.error_share = share.parse().map_err(|_| format!("`{share}` is not a number"))?;
                if !(0.0..=1.0).contains(&fault.error_share) {
                    return Err("`errors` is a share from 0 to 1".into());
                }
            }
            _ => {
                return Err(format!(
                    "`{part}` is not a fault; write `delay=40ms` or `errors=0.2`"
                ));
            }
        }
    }
    Ok(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_written() {
        assert_eq!(
            parse_fault("delay=40ms,errors=0.2"),
            Ok(Fault {
                delay_ms: 40,
                error_share: 0.2
            })
        );
        for text in ["", "delay", "delay=fast", "errors=2", "crash=1"] {
            assert!(parse_fault(text).is_err(), "{text}");
        }
    }
}
