//! Builds the web UI with npm when its sources have changed since `ui/dist` was built. Without npm, or with
//! `LATHE_UI=skip`, the server is built without it and shows a page that says so.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
    println!("cargo::rerun-if-env-changed=LATHE_UI");
    let sources = [
        "index.html",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "vite.config.ts",
        "public",
        "src",
    ];
    for source in sources {
        println!("cargo::rerun-if-changed={}", ui.join(source).display());
    }
    println!("cargo::rerun-if-changed={}", ui.join("dist/stamp").display());
    let mut files = Vec::new();
    for source in sources {
        collect(&ui.join(source), &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        file.strip_prefix(&ui).unwrap_or(file).hash(&mut hasher);
        std::fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    let stamp = format!("{:016x}", hasher.finish());
    let stamp_file = ui.join("dist/stamp");
    if std::fs::read_to_string(&stamp_file).is_ok_and(|built| built == stamp) {
        return;
    }
    if std::env::var("LATHE_UI").is_ok_and(|value| value == "skip") {
        println!("cargo::warning=the web UI is left out: LATHE_UI=skip");
        return;
    }
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["run", "build"]] {
        let ran = Command::new("npm").args(arguments).current_dir(&ui).output();
        let complaint = match ran {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
            Err(error) => format!("npm cannot be started ({error}); install Node 20 or newer"),
        };
        println!(
            "cargo::warning=the web UI could not be built: npm {} failed",
            arguments.join(" ")
        );
        for line in complaint
            .lines()
            .rev()
            .take(15)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            println!("cargo::warning={line}");
        }
        return;
    }
    if let Err(error) = std::fs::write(&stamp_file, stamp) {
        println!("cargo::warning=the web UI's stamp cannot be written: {error}");
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        collect(&entry.path(), files);
    }
}
