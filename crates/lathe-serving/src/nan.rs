use std::borrow::Cow;

/// JSON as Python writes it, made JSON: a bare `NaN` outside texts becomes `null`, which means the same to a model.
pub fn without_bare_nan(json: &str) -> Cow<'_, str> {
    if !json.contains("NaN") {
        return Cow::Borrowed(json);
    }
    let mut made = String::with_capacity(json.len());
    let mut rest = json;
    let mut in_text = false;
    while let Some(at) = rest.find(['"', '\\', 'N']) {
        made.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes()[0] {
            b'\\' if in_text => rest.chars().nth(1).map_or(1, |c| 1 + c.len_utf8()),
            b'"' => {
                in_text = !in_text;
                1
            }
            b'N' if !in_text && rest.starts_with("NaN") => {
                made.push_str("null");
                rest = &rest[3..];
                continue;
            }
            _ => 1,
        };
        made.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    made.push_str(rest);
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_nan_is_replaced() {
        let json = r#"{"NaN":[NaN, 1, "a\"NaN\\", NaN,"\é"]}"#;
        assert_eq!(
            without_bare_nan(json),
            r#"{"NaN":[null, 1, "a\"NaN\\", null,"\é"]}"#
        );
    }
}
