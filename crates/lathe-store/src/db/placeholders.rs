//! SQL is written once, with `?1` or `?` for parameters; PostgreSQL wants `$1`.

/// The statement with PostgreSQL's placeholders and its sign for regular expressions. What stands in quotes or comments is no placeholder.
pub(super) fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut count = 0;
    while let Some(at) = rest.find(['?', '\'', '"', '-']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let end = match found.as_bytes()[0] {
            b'?' => {
                let digits = found[1..].bytes().take_while(u8::is_ascii_digit).count();
                out.push('$');
                if digits == 0 {
                    count += 1;
                    out.push_str(&count.to_string());
                }
                rest = &found[1..];
                continue;
            }
            b'-' if found.starts_with("--") => found.find('\n').unwrap_or(found.len()),
            b'-' => 1,
            // A doubled quote inside ends one text and begins another: both are copied.
            quote => found[1..]
                .find(char::from(quote))
                .map_or(found.len(), |length| length + 2),
        };
        out.push_str(&found[..end]);
        rest = &found[end..];
    }
    out.push_str(rest);
    out.replace(" REGEXP ", " ~ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_numbers_and_texts_stay() {
        for (sql, expected) in [
            ("a = ?1 AND b = ?12", "a = $1 AND b = $12"),
            ("a = ? AND b IN (?,?) LIMIT ?", "a = $1 AND b IN ($2,$3) LIMIT $4"),
            ("a = '?1' AND \"b?\" = ?1", "a = '?1' AND \"b?\" = $1"),
            ("a = 'it''s ?' AND b = ?", "a = 'it''s ?' AND b = $1"),
            ("a - 1 = ? -- why?\nAND b = ?", "a - 1 = $1 -- why?\nAND b = $2"),
            ("SELECT 1", "SELECT 1"),
            ("a REGEXP ?", "a ~ $1"),
        ] {
            assert_eq!(numbered(sql), expected);
        }
    }
}
