use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use lathe_diff::{Likeness, Rules, Tolerance};
use lathe_types::project::ToleranceSpec;
use serde_json::{Value, json};

use super::Call;
use crate::client::{Client, segment};
use crate::determinism::Variation;
use crate::exit::{Outcome, hinted};
use crate::project::ProjectFile;
use crate::reproduction::{self, Built, Interrupted, Nondeterminism, Rebuilding, Report, Target, Verdict};
use crate::terminal::{self, Style, paint};
use crate::{clock, tracking};

/// Rebuild a run from scratch and prove that it comes out the same.
///
/// Checks the commit out into a clean folder, applies the changes that the run was made with, makes the environment
/// from its lock file, takes inputs by hash, executes every stage without any cache, and compares each output: equal
/// bit by bit, equal but for ids and times of writing, within the tolerances of `[reproduce]`, or different, and then
/// where first. The report is kept with the run and its model versions; gates see it as `candidate.reproduction`.
///
/// Exit codes: 0 verified, 1 it could not be rebuilt, 3 it differs, 130 interrupted.
///
/// Examples:
///   lathe reproduce models:/bike-demand@champion     the version behind an alias
///   lathe reproduce models:/bike-demand/3            a version
///   lathe reproduce 4be1f0c2…                        a run
///   lathe reproduce my-model@v1.2.0                  what a tag's dvc.lock says; any git revision works
///   lathe reproduce HEAD --times 5                   and look for what changes from one build to the next
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A run id, `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or a git revision.
    target: String,
    /// Build this often; each time something is changed that should not matter: hash seed, threads, time zone and
    /// locale, folder.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    times: u16,
    /// How far a number may lie from the recorded one: `rmse=1%`, `*=1e-9`. Beside those of `lathe.toml`.
    #[arg(long = "tolerance", value_name = "KEY=HOW-FAR")]
    tolerances: Vec<String>,
    /// Leave hash seed, time zone, locale and thread counts as they are.
    #[arg(long)]
    as_is: bool,
    /// Leave the rebuilt folders in `.lathe/reproductions/`.
    #[arg(long)]
    keep: bool,
    /// Write `report.json`, `report.md` and `statement.json` to this folder too.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Rebuilds and compares.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let (started, at) = (Instant::now(), clock::now());
    let project = call.project()?;
    let rules = rules(&args, &project)?;
    let client = call.client().ok();
    let mut target = Target::resolve(client.as_ref(), &project.root, &args.target)?;
    let say = |line: &str| {
        if !call.json {
            println!("{line}");
        }
    };
    say(&format!(
        "rebuilding {} from commit {}{}",
        paint(&args.target, Style::Strong),
        &target.commit[..12],
        if target.patch.is_some() {
            " and its uncommitted changes"
        } else {
            ""
        },
    ));
    let mut rebuilt = Vec::new();
    for number in 1..=usize::from(args.times) {
        let variation = (1 < number).then(|| Variation::ALL[(number - 2) % Variation::ALL.len()]);
        match rebuild(&args, &project, &mut target, number, variation, &say) {
            Ok(built) => rebuilt.push(built),
            Err(error) if error.is::<Interrupted>() => return Ok(Outcome::Interrupted),
            Err(error) => return Err(error),
        }
        if rebuilt.iter().any(|built| built.failure.is_some()) {
            break;
        }
    }
    let mut report = Report {
        target: args.target.clone(),
        verdict: Verdict::Failed,
        bit_equal: false,
        first_difference: None,
        run_id: target.run.as_ref().map(|run| run.run_id.clone()),
        commit: target.commit.clone(),
        patched: target.patch.is_some(),
        deterministic: !args.as_is,
        environment: target.environment.clone(),
        inputs: target.inputs().into_iter().cloned().collect(),
        frozen: target.frozen.iter().map(|stage| stage.stage.clone()).collect(),
        stages: Vec::new(),
        rebuilds: rebuilt.len(),
        nondeterminism: Vec::new(),
        failure: rebuilt.iter().find_map(|built| built.failure.clone()),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        lathe_version: env!("CARGO_PKG_VERSION"),
        at,
        took_s: 0.0,
    };
    if let [first, others @ ..] = rebuilt.as_slice() {
        report.stages = reproduction::compare(&project.root, &target, first, &rules)?;
        for other in others.iter().filter(|other| other.failure.is_none()) {
            let found = reproduction::compare_rebuilds(&target, first, other, &rules)?;
            report
                .nondeterminism
                .extend(found.into_iter().map(|(stage, file)| Nondeterminism {
                    stage,
                    varied: other.told(),
                    file,
                }));
        }
    }
    report.took_s = started.elapsed().as_secs_f64();
    report.judge();
    keep(&report, &args, client.as_ref(), &target)?;
    if call.json {
        terminal::print_json(&report)?;
    } else {
        print(&report);
    }
    Ok(match report.verdict {
        Verdict::Verified => Outcome::Done,
        Verdict::Differs | Verdict::Failed => Outcome::GateFailed,
    })
}

fn rebuild(
    args: &Args,
    project: &ProjectFile,
    target: &mut Target,
    number: usize,
    variation: Option<Variation>,
    say: &dyn Fn(&str),
) -> anyhow::Result<Built> {
    let rebuilding = Rebuilding {
        root: &project.root,
        target,
        deterministic: !args.as_is,
    };
    let mut built = rebuilding.prepare(number, variation)?;
    if args.keep {
        built.keep();
    }
    if target.stages.is_empty() {
        target.stages = recorded_in_lock(&built)?;
    }
    let frozen = frozen_stages(&built)?;
    target.set_frozen_apart(|stage| frozen.contains(stage));
    if target.stages.is_empty() {
        return Err(hinted(
            "all stages that were recorded are frozen, so there is nothing to rebuild",
            "let them be executed again with `lathe unfreeze`, and commit that",
        ));
    }
    if number == 1 {
        for stage in &target.frozen {
            say(&format!(
                "{} is frozen: its outputs are taken as they were recorded",
                stage.stage
            ));
        }
    }
    let rebuilding = Rebuilding {
        root: &project.root,
        target,
        deterministic: !args.as_is,
    };
    rebuilding.bring_inputs(&built, &target.inputs())?;
    if 1 < args.times {
        say(&format!(
            "build {number} of {}, with {} changed",
            args.times,
            built.told()
        ));
    }
    rebuilding.execute(&mut built, &mut |line| {
        say(&paint(&format!("  {line}"), Style::Faint))
    })?;
    Ok(built)
}

fn frozen_stages(built: &Built) -> anyhow::Result<HashSet<String>> {
    let pipelines = lathe_pipeline::Project::load(&lathe_data::Repo::discover(&built.root)?)?;
    let frozen = pipelines.stages().iter().filter(|stage| stage.frozen);
    Ok(frozen.map(lathe_pipeline::Stage::address).collect())
}

/// What the `dvc.lock` of the commit says.
fn recorded_in_lock(built: &Built) -> anyhow::Result<Vec<lathe_types::executions::StageExecution>> {
    let repo = lathe_data::Repo::discover(&built.root)?;
    let pipelines = lathe_pipeline::Project::load(&repo)?;
    let stages = lathe_pipeline::recorded(&repo, &pipelines)?;
    if stages.iter().all(|stage| stage.outs.is_empty()) {
        return Err(hinted(
            "`dvc.lock` of this commit records no outputs",
            "execute the pipeline with `lathe run` and commit `dvc.lock`",
        ));
    }
    Ok(stages)
}

fn rules(args: &Args, project: &ProjectFile) -> anyhow::Result<Rules> {
    let mut rules = Rules::default();
    let declared = project.spec.reproduce.iter().flat_map(|spec| &spec.tolerance);
    for (key, tolerance) in declared {
        let text = match tolerance {
            ToleranceSpec::Number(number) => number.to_string(),
            ToleranceSpec::Text(text) => text.clone(),
        };
        let tolerance =
            Tolerance::parse(&text).with_context(|| format!("`[reproduce]` `tolerance.{key}`"))?;
        rules.tolerances.insert(key.clone(), tolerance);
    }
    for given in &args.tolerances {
        let (key, text) = given.split_once('=').ok_or_else(|| {
            hinted(
                format!("`--tolerance {given}` allows nothing"),
                "write `--tolerance rmse=1%`",
            )
        })?;
        rules.tolerances.insert(key.to_owned(), Tolerance::parse(text)?);
    }
    Ok(rules)
}

/// Keeps the report with the run, its model versions and where the caller wants it.
fn keep(report: &Report, args: &Args, client: Option<&Client>, target: &Target) -> anyhow::Result<()> {
    let files = [
        ("report.json", serde_json::to_vec_pretty(report)?),
        ("report.md", report.markdown().into_bytes()),
        ("statement.json", serde_json::to_vec_pretty(&report.statement())?),
    ];
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
        for (name, bytes) in &files {
            std::fs::write(folder.join(name), bytes)
                .with_context(|| format!("failed to write `{}`", folder.join(name).display()))?;
        }
    }
    if let (Some(client), Some(run)) = (client, &target.run) {
        for (name, bytes) in files {
            tracking::log_bytes(client, run, &format!("lathe/reproduction/{name}"), bytes)?;
        }
        let path = format!("/api/v1/executions/{}/reproduction", segment(&run.run_id));
        client.post::<Value>(
            &path,
            &json!({ "summary": report.summary(), "shown": report.facts() }),
        )?;
    }
    Ok(())
}

fn print(report: &Report) {
    for stage in &report.stages {
        for out in &stage.outs {
            let (mark, told) = match out.likeness {
                Likeness::Identical => (paint("same", Style::Good), "equal bit by bit"),
                Likeness::Equivalent => (paint("same", Style::Good), "equal but for what may differ"),
                Likeness::Different => (paint("DIFF", Style::Bad), "different"),
            };
            println!("{mark} {:<12} {} {told}", stage.stage, out.path);
            if let Some(note) = &out.note {
                println!("     {note}");
            }
            for file in &out.files {
                for place in &file.differences {
                    let line = format!(
                        "     {}: {}: {} instead of {}{}",
                        file.path,
                        place.place,
                        place.found,
                        place.expected,
                        if place.tolerated { " (allowed)" } else { "" }
                    );
                    println!("{}", paint(&line, Style::Faint));
                }
                if 0 < file.more {
                    println!(
                        "{}",
                        paint(&format!("     … and {} more", file.more), Style::Faint)
                    );
                }
            }
        }
    }
    for found in &report.nondeterminism {
        println!(
            "{} {:<12} {} changes with {}",
            paint("vary", Style::Warn),
            found.stage,
            found.file.path,
            found.varied
        );
    }
    if let Some(failure) = &report.failure {
        println!("{failure}");
        println!(
            "{} a stage that ran before and fails now has read something that is neither in git nor among its deps",
            paint("hint:", Style::Strong)
        );
    }
    let style = if report.verdict == Verdict::Verified {
        Style::Good
    } else {
        Style::Bad
    };
    println!("{}", paint(&report.summary(), style));
}
