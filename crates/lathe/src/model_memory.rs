//! The option that bounds what loaded models take of memory.

#[derive(Debug, Clone, clap::Args)]
pub struct MemoryArgs {
    /// What loaded models may take of memory together, as `2GiB`: what was asked least recently is unloaded, and loaded
    /// again when it is asked. No limit if absent.
    #[arg(long, env = "LATHE_MODELS_MEMORY", value_name = "SIZE", value_parser = bytes_of)]
    pub models_memory: Option<u64>,
}

const UNITS: [(&str, u64); 6] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

fn bytes_of(text: &str) -> Result<u64, String> {
    let size = UNITS.iter().find_map(|(unit, bytes)| {
        let number: f64 = text.trim().strip_suffix(unit)?.trim().parse().ok()?;
        let size = number * *bytes as f64;
        (1.0..1e18).contains(&size).then_some(size as u64)
    });
    size.ok_or_else(|| format!("`{text}` is no size; say `500MiB` or `2GiB`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes_of("2GiB"), Ok(2 << 30));
        assert_eq!(bytes_of("0.5 MiB"), Ok(1 << 19));
        assert_eq!(bytes_of("3MB"), Ok(3_000_000));
        for wrong in ["", "2", "GiB", "-1MiB", "nanGiB", "infGiB", "0MB", "1TB"] {
            assert!(bytes_of(wrong).is_err(), "{wrong}");
        }
    }
}
