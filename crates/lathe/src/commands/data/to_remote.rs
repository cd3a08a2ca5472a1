//! Data that goes from where it lies to a remote, without staying on this machine.

use lathe_data::remote::{Direct, Remote, send};
use lathe_data::{DvcFile, Recorded};

use super::Data;
use super::places::{Part, Place};

/// Sends what is at a place; says what it is.
pub fn transfer(data: &Data, place: &Place, remote: &Remote) -> anyhow::Result<Recorded> {
    let tmp = data.repo.tmp();
    std::fs::create_dir_all(&tmp)?;
    let what: Direct<Part> = place.parts()?;
    Ok(send(remote, &what, &tmp, |part| place.open(part, &tmp))?)
}

/// Writes down what the file's only output is now.
pub fn record(file: &mut DvcFile, recorded: Recorded) {
    if let Some(out) = file.outs_mut().first_mut() {
        out.recorded = Some(recorded);
    }
}
