//! What a reproduction showed: as JSON, as Markdown for people, as an in-toto statement for verifiers.

use std::fmt::Write;

use lathe_diff::{FileDifference, Likeness};
use lathe_types::Millis;
use lathe_types::executions::{Environment, HashedPath};
use serde::Serialize;
use serde_json::{Value, json};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every output is equal, or differs only in what was allowed to.
    Verified,
    /// An output differs.
    Differs,
    /// A stage failed, so that outputs are missing.
    Failed,
}

/// One stage's outputs.
#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    /// The stage.
    pub stage: String,
    /// Its outputs.
    pub outs: Vec<OutReport>,
}

/// One output.
#[derive(Debug, Clone, Serialize)]
pub struct OutReport {
    /// Relative to the project.
    pub path: String,
    /// As recorded.
    pub expected_md5: String,
    /// As rebuilt; none if it is not there.
    pub found_md5: Option<String>,
    /// How alike they are.
    pub likeness: Likeness,
    /// The files in it that differ.
    pub files: Vec<FileDifference>,
    /// What else is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An output that changed although only something was changed that should not matter.
#[derive(Debug, Clone, Serialize)]
pub struct Nondeterminism {
    /// The stage that made it.
    pub stage: String,
    /// What was changed, or `the same settings`.
    pub varied: String,
    /// The file, and where it differs.
    pub file: FileDifference,
}

/// Everything a reproduction showed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked for.
    pub target: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether every output is equal bit by bit.
    pub bit_equal: bool,
    /// The first output that differs, in the order of the pipeline, as `stage: file: place`.
    pub first_difference: Option<String>,
    /// The run that was rebuilt.
    pub run_id: Option<String>,
    /// The commit it started from.
    pub commit: String,
    /// Whether a patch of uncommitted changes was applied.
    pub patched: bool,
    /// Whether stages ran with what takes chance out of common libraries.
    pub deterministic: bool,
    /// Where the run was made.
    pub environment: Option<Environment>,
    /// Data and code that no stage makes, by hash.
    pub inputs: Vec<HashedPath>,
    /// Frozen stages, whose outputs are among the inputs.
    pub frozen: Vec<String>,
    /// Output by output.
    pub stages: Vec<StageReport>,
    /// How often it was built.
    pub rebuilds: usize,
    /// What changed between rebuilds.
    pub nondeterminism: Vec<Nondeterminism>,
    /// Why a stage failed.
    pub failure: Option<String>,
    /// "linux x86_64".
    pub platform: String,
    /// The Lathe that did it.
    pub lathe_version: &'static str,
    /// When it was begun.
    pub at: Millis,
    /// Seconds from start to verdict.
    pub took_s: f64,
}

impl Report {
    /// Draws the verdict from what was found.
    pub fn judge(&mut self) {
        let outs = || self.stages.iter().flat_map(|stage| &stage.outs);
        let all = |likeness: Likeness| outs().all(|out| out.likeness <= likeness);
        let failed = self.failure.is_some();
        self.bit_equal = !failed && all(Likeness::Identical) && self.nondeterminism.is_empty();
        let varies = self
            .nondeterminism
            .iter()
            .any(|found| found.file.likeness == Likeness::Different);
        self.verdict = if failed {
            Verdict::Failed
        } else if all(Likeness::Equivalent) && !varies {
            Verdict::Verified
        } else {
            Verdict::Differs
        };
        self.first_difference = self.first();
    }

    fn first(&self) -> Option<String> {
        let differs = self
            .stages
            .iter()
            .flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)))
            .find(|(_, out)| out.likeness == Likeness::Different);
        if let Some((stage, out)) = differs {
            let file = out.files.iter().find(|file| file.likeness == Likeness::Different);
            let told = match file {
                Some(file) => place_of(file),
                None => format!("{} ({})", out.path, out.note.as_deref().unwrap_or("differs")),
            };
            return Some(format!("{}: {told}", stage.stage));
        }
        let varies = self
            .nondeterminism
            .iter()
            .find(|found| found.file.likeness == Likeness::Different)?;
        Some(format!(
            "{}: {} when {} changes",
            varies.stage,
            place_of(&varies.file),
            varies.varied
        ))
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let count = self.stages.iter().map(|stage| stage.outs.len()).sum::<usize>();
        match self.verdict {
            Verdict::Verified if self.bit_equal => format!("verified: {count} outputs equal bit by bit"),
            Verdict::Verified => {
                format!("verified: {count} outputs equal but for identities and within tolerances")
            }
            Verdict::Differs => format!(
                "differs: {}",
                self.first_difference.as_deref().unwrap_or("an output differs")
            ),
            Verdict::Failed => "failed: a stage could not be executed again".into(),
        }
    }

    /// What gates can ask for as `candidate.reproduction`.
    pub fn facts(&self) -> Value {
        json!({
            "verified": self.verdict == Verdict::Verified,
            "bit_equal": self.bit_equal,
            "verdict": self.verdict,
            "first_difference": self.first_difference,
            "rebuilds": self.rebuilds,
            "at": self.at.to_string(),
        })
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Reproduction of `{}`\n\n**{}**\n\n",
            self.target,
            self.summary()
        );
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "- {name}: {value}");
        };
        if let Some(run) = &self.run_id {
            fact("run", &format!("`{run}`"));
        }
        let with_patch = if self.patched {
            ", with the run's uncommitted changes"
        } else {
            ""
        };
        fact("commit", &format!("`{}`{with_patch}", self.commit));
        for stage in &self.frozen {
            fact(
                "frozen",
                &format!("`{stage}`, whose outputs are inputs, as they were recorded"),
            );
        }
        if let Some(environment) = &self.environment {
            let short = &environment.digest[..environment.digest.len().min(12)];
            fact("environment", &format!("{} `{short}`", environment.manager));
        }
        fact("platform", &self.platform);
        fact("settled settings", if self.deterministic { "yes" } else { "no" });
        fact("rebuilds", &self.rebuilds.to_string());
        fact("took", &format!("{:.1} s", self.took_s));
        text.push_str("\n| stage | output | recorded | rebuilt | verdict |\n|---|---|---|---|---|\n");
        for stage in &self.stages {
            for out in &stage.outs {
                let verdict = serde_json::to_value(out.likeness).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "| {} | `{}` | `{}` | `{}` | {} |",
                    stage.stage,
                    out.path,
                    short(&out.expected_md5),
                    out.found_md5.as_deref().map_or("absent", short),
                    verdict.as_str().unwrap_or_default(),
                );
            }
        }
        for stage in &self.stages {
            for out in &stage.outs {
                for file in &out.files {
                    list(
                        &mut text,
                        &format!("{}: `{}` ({})", stage.stage, file.path, file.format),
                        file,
                    );
                }
                if let Some(note) = &out.note {
                    let _ = writeln!(text, "\n{}: `{}`: {note}", stage.stage, out.path);
                }
            }
        }
        for found in &self.nondeterminism {
            let title = format!(
                "{}: `{}` changes with {}",
                found.stage, found.file.path, found.varied
            );
            list(&mut text, &title, &found.file);
        }
        if let Some(failure) = &self.failure {
            let _ = write!(
                text,
                "\n## What the rebuild printed last\n\n```\n{failure}\n```\n"
            );
        }
        text
    }

    /// An in-toto statement (<https://in-toto.io/Statement/v1>) with the predicate of a test's result
    /// (<https://in-toto.io/attestation/test-result/v0.1>): subjects are the recorded outputs.
    pub fn statement(&self) -> Value {
        let named = |likeness: &dyn Fn(Likeness) -> bool| -> Vec<String> {
            self.stages
                .iter()
                .flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)))
                .filter(|(_, out)| likeness(out.likeness))
                .map(|(stage, out)| format!("{}/{}", stage.stage, out.path))
                .collect()
        };
        let subjects: Vec<Value> = self
            .stages
            .iter()
            .flat_map(|stage| &stage.outs)
            .map(|out| json!({ "name": out.path, "digest": { "md5": out.expected_md5 } }))
            .collect();
        let mut configuration = vec![json!({ "name": "source", "digest": { "gitCommit": self.commit } })];
        if let Some(lock) = self.environment.as_ref().and_then(|e| e.lock_sha256.as_ref()) {
            configuration.push(json!({ "name": "environment", "digest": { "sha256": lock } }));
        }
        for input in &self.inputs {
            configuration.push(json!({ "name": input.path, "digest": { "md5": input.md5 } }));
        }
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": {
                "result": if self.verdict == Verdict::Verified { "PASSED" } else { "FAILED" },
                "configuration": configuration,
                "passedTests": named(&|likeness| likeness != Likeness::Different),
                "failedTests": named(&|likeness| likeness == Likeness::Different),
            },
        })
    }
}

fn place_of(file: &FileDifference) -> String {
    match file.differences.first() {
        Some(first) if first.place.is_empty() => {
            format!("{}: {} instead of {}", file.path, first.found, first.expected)
        }
        Some(first) => format!(
            "{}: {}: {} instead of {}",
            file.path, first.place, first.found, first.expected
        ),
        None => file.path.clone(),
    }
}

fn list(text: &mut String, title: &str, file: &FileDifference) {
    let _ = write!(
        text,
        "\n## {title}\n\n| where | recorded | rebuilt | |\n|---|---|---|---|\n"
    );
    for difference in &file.differences {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            cell(&difference.place),
            cell(&difference.expected),
            cell(&difference.found),
            if difference.tolerated { "allowed" } else { "" },
        );
    }
    if 0 < file.more {
        let _ = writeln!(text, "\n… and {} more", file.more);
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn short(md5: &str) -> &str {
    &md5[..md5.len().min(8)]
}
