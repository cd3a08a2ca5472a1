//! Calls that only certain rooms may make, and what may stand nowhere.

use crate::source::code_only;
use crate::tidy::{File, Finding};

/// A call with the places that may make it: beginnings of paths.
struct Rule {
    call: &'static str,
    rooms: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        call: "env::var",
        rooms: &["crates/lathe/src/", "crates/lathe-server/build.rs", "xtask/"],
        why: "settings are passed in; only the binary reads the environment",
    },
    Rule {
        call: "SystemTime::now",
        rooms: &["crates/lathe/src/clock.rs"],
        why: "time is passed in, so that tests can set it",
    },
    Rule {
        call: "Command::new",
        rooms: &[
            "crates/lathe/src/",
            "crates/lathe-pipeline/src/",
            "crates/lathe-server/build.rs",
            "crates/lathe-serving/src/processes/",
            "xtask/",
        ],
        why: "child processes belong to the binary, to pipelines, and to models that others answer for",
    },
];

/// Places that break a rule on purpose. An entry that nothing needs any more is a fault.
const EXCEPTIONS: &[Exception] = &[];

struct Exception {
    path: &'static str,
    call: &'static str,
    reason: &'static str,
}

/// Marks of unfinished work.
const LEFTOVERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Faults calls outside their rooms, leftovers, and crates that do not say what they are for.
pub fn check(files: &[File]) -> Vec<Finding> {
    check_with(files, EXCEPTIONS)
}

fn check_with(files: &[File], exceptions: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut needed = vec![false; exceptions.len()];
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let code = code_only(&file.text);
        for (index, line) in code.lines().enumerate() {
            let place = format!("`{}` line {}", file.path, index + 1);
            for leftover in LEFTOVERS.iter().filter(|leftover| calls(line, leftover)) {
                findings.push(Finding::Fault(format!(
                    "{place}: `{leftover}` is unfinished work"
                )));
            }
            for rule in broken(line, &file.path) {
                let exception = exceptions
                    .iter()
                    .position(|known| known.path == file.path && known.call == rule.call);
                match exception {
                    Some(known) => needed[known] = true,
                    None => findings.push(Finding::Fault(format!("{place}: `{}`: {}", rule.call, rule.why))),
                }
            }
        }
        if is_front(&file.path) && !file.text.starts_with("//!") {
            findings.push(Finding::Fault(format!(
                "`{}` does not begin with `//!`: what it is for and what it leaves to others",
                file.path
            )));
        }
    }
    for (exception, needed) in exceptions.iter().zip(needed) {
        let told = format!(
            "`{}` may use `{}`: {}",
            exception.path, exception.call, exception.reason
        );
        findings.push(match needed {
            true => Finding::Note(told),
            false => Finding::Fault(format!(
                "{told}; but it does not any more: take the exception out"
            )),
        });
    }
    findings
}

/// The rules that a line of code breaks. Tests drive real binaries and set up what they need, so they are free.
fn broken(line: &str, path: &str) -> impl Iterator<Item = &'static Rule> {
    let in_tests = path.contains("/tests/");
    RULES.iter().filter(move |rule| {
        !in_tests && !rule.rooms.iter().any(|room| path.starts_with(room)) && calls(line, rule.call)
    })
}

/// Whether the call stands in the line, and not only the end of a longer name.
fn calls(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn is_front(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        let file = File {
            path: path.into(),
            text: text.into(),
        };
        check_with(&[file], &[])
    }

    #[test]
    fn a_call_is_a_fault_outside_its_room_only() {
        let code = "fn f() { std::process::Command::new(\"x\"); }";
        assert_eq!(findings("crates/lathe-pipeline/src/a.rs", code), []);
        assert_eq!(findings("crates/lathe-store/tests/it/a.rs", code), []);
        let found = findings("crates/lathe-store/src/a.rs", code);
        assert!(
            matches!(&found[..], [Finding::Fault(text)] if text.contains("a.rs` line 1: `Command::new`"))
        );
    }

    #[test]
    fn what_is_said_in_words_is_no_call() {
        assert_eq!(
            findings(
                "crates/lathe-store/src/a.rs",
                "// dbg!\nlet a = \"SystemTime::now\"; my_todo!();"
            ),
            []
        );
    }

    #[test]
    fn unfinished_work_is_a_fault_in_tests_too() {
        for code in ["todo!()", "a(dbg!(b))", "unimplemented!(\"later\")"] {
            assert_eq!(findings("crates/lathe/tests/it/a.rs", code).len(), 1, "{code}");
        }
    }

    #[test]
    fn a_crate_says_what_it_is_for() {
        assert_eq!(findings("crates/lathe/src/lib.rs", "//! A room.\nmod a;"), []);
        assert_eq!(findings("crates/lathe/src/lib.rs", "mod a;").len(), 1);
        assert_eq!(findings("crates/lathe/src/a.rs", "mod a;"), []);
    }

    #[test]
    fn an_exception_excuses_its_file_and_must_be_needed() {
        let exception = [Exception {
            path: "crates/lathe-data/src/a.rs",
            call: "env::var",
            reason: "so",
        }];
        let file = |text: &str| File {
            path: "crates/lathe-data/src/a.rs".into(),
            text: text.into(),
        };
        assert!(matches!(
            check_with(&[file("std::env::var_os(name)")], &exception)[..],
            [Finding::Note(_)]
        ));
        assert!(matches!(
            check_with(&[file("")], &exception)[..],
            [Finding::Fault(_)]
        ));
    }
}
