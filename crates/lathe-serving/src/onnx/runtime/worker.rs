//! The other side: a process that answers for one graph over a socket.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::session::{Session, Unanswered, build_of};
use super::wire::{decode, encode};
use crate::processes::frame::{Header, read, tell, tell_failure};

/// What a process is told when it is started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) library: PathBuf,
    pub(super) model: PathBuf,
    pub(super) threads: usize,
}

/// Answers for one graph until the other side closes the socket. `settings` is what [`super::OnnxRuntime::launcher`] was
/// started with.
pub fn answer_over(settings: &str, link: &mut (impl Read + Write)) -> io::Result<()> {
    let settings: Settings = serde_json::from_str(settings)?;
    let mut session = match Session::open(&settings.library, &settings.model, settings.threads) {
        Ok(session) => session,
        Err(what) => return tell_failure(what, link),
    };
    let about = serde_json::to_value(session.interface())?;
    tell(
        link,
        Header {
            ready: true,
            about,
            ..Header::default()
        },
    )?;
    loop {
        // One request is there at a time, so nothing is left in the buffer.
        let (header, body) = match read(&mut BufReader::new(&mut *link)) {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let answer = decode(header.outputs, &body)
            .map_err(Unanswered::Refused)
            .and_then(|inputs| session.run(inputs))
            .and_then(|outputs| encode(&outputs).map_err(Unanswered::Raised));
        match answer {
            Ok(answer) => link.write_all(&answer)?,
            Err(Unanswered::Refused(what)) => tell(
                link,
                Header {
                    refused: Some(what),
                    ..Header::default()
                },
            )?,
            Err(Unanswered::Raised(what)) => tell(
                link,
                Header {
                    raised: Some(what),
                    ..Header::default()
                },
            )?,
        }
    }
}

/// How a library says it was built; loads it into this process.
pub fn onnxruntime_build(library: &Path) -> Result<String, String> {
    Ok(build_of(library)?.trim().to_owned())
}
