//! skops files by what is in them: a fuzzer that changes the archive itself only meets its checksums.

use std::io::{Cursor, Write};

use super::{models, parts};

/// Packs `schema.json` and the parts that follow it, and reads that.
pub fn check(bytes: &[u8]) {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in parts::parts(bytes, "schema.json") {
        // Names that occur twice are refused by the archive.
        if archive.start_file(name, stored).is_ok() {
            archive.write_all(content).expect("memory takes it");
        }
    }
    let packed = archive.finish().expect("memory takes it").into_inner();
    models::check(&packed);
}
