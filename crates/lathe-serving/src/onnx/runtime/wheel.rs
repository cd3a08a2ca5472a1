//! The shared library within a wheel of PyPI's `onnxruntime`.

use std::io::{Cursor, Read, Write};

/// Larger libraries are refused.
const LIBRARY_BYTES_MAX: u64 = 1 << 30;

/// Writes the library that a wheel holds; returns its file name.
pub fn library_of_wheel(wheel: &[u8], into: &mut impl Write) -> Result<String, String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(wheel)).map_err(|error| format!("it is no archive: {error}"))?;
    let is_library = |name: &str| {
        let file = name.strip_prefix("onnxruntime/capi/libonnxruntime.");
        file.is_some_and(|rest| (rest.starts_with("so") || rest.ends_with("dylib")) && !rest.contains('/'))
    };
    let name = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .find(|name| is_library(name))
        .ok_or("it holds no library `onnxruntime/capi/libonnxruntime.*`")?;
    let told = |error: std::io::Error| format!("`{name}` cannot be unpacked: {error}");
    let entry = archive
        .by_name(&name)
        .map_err(|error| format!("`{name}` cannot be unpacked: {error}"))?;
    let size = entry.size();
    if LIBRARY_BYTES_MAX < size {
        return Err(format!("`{name}` has {size} bytes"));
    }
    // A size that is a lie ends with it.
    let written = std::io::copy(&mut entry.take(size + 1), into).map_err(told)?;
    if written != size {
        return Err(format!("`{name}` is not as long as the archive says"));
    }
    let file = name.rsplit('/').next().unwrap_or_default();
    Ok(file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(names: &[&str]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            writer.write_all(name.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn the_library_is_found_among_what_else_a_wheel_holds() {
        for (names, file) in [
            (
                [
                    "onnxruntime/capi/libonnxruntime_providers_shared.so",
                    "onnxruntime/capi/libonnxruntime.so.1.32.0",
                ],
                "libonnxruntime.so.1.32.0",
            ),
            (
                [
                    "onnxruntime/__init__.py",
                    "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
                ],
                "libonnxruntime.1.32.0.dylib",
            ),
        ] {
            let mut into = Vec::new();
            assert_eq!(library_of_wheel(&wheel(&names), &mut into).unwrap(), file);
            assert_eq!(into, names[1].as_bytes());
        }
        let none = library_of_wheel(
            &wheel(&["onnxruntime/capi/sub/libonnxruntime.so"]),
            &mut Vec::new(),
        );
        assert!(none.unwrap_err().contains("holds no library"));
        assert!(library_of_wheel(b"PK", &mut Vec::new()).is_err());
    }
}
