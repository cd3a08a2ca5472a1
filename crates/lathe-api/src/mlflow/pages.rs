use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lathe_types::InputError;
use lathe_types::tags::PageRequest;
use serde::{Deserialize, Serialize};

use super::Int64;

/// What a page token says; to clients it is opaque.
#[derive(Serialize, Deserialize)]
struct Token {
    offset: u64,
}

/// The token of the page that starts at `offset`.
pub fn page_token(offset: u64) -> String {
    STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// Where the page of this token starts; without a token, at 0.
pub fn parse_page_token(token: Option<&str>) -> Result<u64, InputError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    STANDARD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice::<Token>(&json).ok())
        .map(|token| token.offset)
        .filter(|offset| *offset <= i64::MAX as u64)
        .ok_or_else(|| {
            InputError::Request(format!(
                "Invalid page token `{token}`, could not base64-decode it into an offset"
            ))
        })
}

/// How many results a page may hold: what the client asks for, within bounds.
pub fn max_results(asked: Option<Int64>, default: usize, max: usize) -> Result<usize, InputError> {
    let Some(Int64(asked)) = asked else {
        return Ok(default);
    };
    let refuse = |reason: String| {
        Err(InputError::Invalid {
            parameter: "max_results".into(),
            value: asked.to_string(),
            reason,
        })
    };
    match usize::try_from(asked) {
        Ok(0) | Err(_) => refuse("It must be a positive integer".into()),
        Ok(asked) if max < asked => refuse(format!("It must be at most {max}")),
        Ok(asked) => Ok(asked),
    }
}

/// The page that a client asks for.
pub fn page_request(
    token: Option<&str>,
    asked: Option<Int64>,
    default: usize,
    max: usize,
) -> Result<PageRequest, InputError> {
    Ok(PageRequest {
        offset: parse_page_token(token)?,
        limit: max_results(asked, default, max)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_reads_back_and_anything_else_is_refused() {
        assert_eq!(page_token(1), "eyJvZmZzZXQiOiAxfQ==");
        assert_eq!(parse_page_token(Some(&page_token(70_000))), Ok(70_000));
        assert_eq!(parse_page_token(None), Ok(0));
        let negative = STANDARD.encode("{\"offset\": -1}");
        for token in ["x", "====", negative.as_str()] {
            assert!(parse_page_token(Some(token)).is_err(), "{token}");
        }
    }

    #[test]
    fn a_page_has_a_size_within_bounds() {
        assert_eq!(max_results(None, 10, 20), Ok(10));
        assert_eq!(max_results(Some(Int64(20)), 10, 20), Ok(20));
        for asked in [0, -1, 21, i64::MAX] {
            assert!(max_results(Some(Int64(asked)), 10, 20).is_err(), "{asked}");
        }
    }
}
