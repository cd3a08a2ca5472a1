use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The file that keeps what a stage prints. A log that cannot be written is no reason for a stage to fail.
pub struct StageLog {
    file: Option<File>,
    /// Relative to the repository.
    pub path: Option<String>,
}

impl StageLog {
    /// In the folder, which is relative to the root; nothing is kept without one.
    pub fn create(root: &Path, folder: Option<&Path>, stage: &str) -> Self {
        let Some(folder) = folder else {
            return Self {
                file: None,
                path: None,
            };
        };
        let plain = |c: char| {
            if c == '/' || c == ':' || c.is_control() {
                '_'
            } else {
                c
            }
        };
        let mut name: String = stage.chars().map(plain).take(120).collect();
        name.push_str(".log");
        let path = folder.join(&name);
        let made = std::fs::create_dir_all(root.join(folder)).and_then(|()| File::create(root.join(&path)));
        match made {
            Ok(file) => Self {
                file: Some(file),
                path: Some(path.to_string_lossy().into_owned()),
            },
            Err(_) => Self {
                file: None,
                path: None,
            },
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}
