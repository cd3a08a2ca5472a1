use super::Value;

/// What a plain scalar means in YAML 1.2, by the rules of DVC's reader: `yes` is text, `1e-05` and `1e5` are numbers,
/// `0777` is 777 and `0o17` is 15.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => int(text)
            .or_else(|| float(text).map(Value::Float))
            .unwrap_or_else(|| Value::Str(text.to_owned())),
    }
}

/// Whether text written plain would be read as something else.
pub fn needs_quotes(text: &str) -> bool {
    !matches!(resolve(text), Value::Str(_)) || matches!(text, "<<" | "=" | "!" | "&" | "*") || is_date(text)
}

fn int(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        b'0'..=b'9' => (false, text),
        _ => return None,
    };
    let (radix, digits) = if let Some(rest) = digits.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = digits.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = digits.strip_prefix("0x") {
        (16, rest)
    } else {
        (10, digits)
    };
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i128::from_str_radix(&digits, radix) {
        Ok(int) => Some(Value::Int(if negative { -int } else { int })),
        // Nothing that is trained counts this far.
        Err(_) => digits
            .parse()
            .ok()
            .map(|float: f64| Value::Float(if negative { -float } else { float })),
    }
}

fn float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !digits(whole) || !fraction.is_none_or(digits) || whole.starts_with('_') {
        return None;
    }
    let has_number = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    if !has_number || (fraction.is_none() && exponent.is_none()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let unsigned = exponent.strip_prefix(['-', '+']);
        // `.5e3` without a sign is text to DVC's reader.
        if whole.is_empty() && unsigned.is_none() {
            return None;
        }
        let unsigned = unsigned.unwrap_or(exponent);
        if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let plain: String = rest.chars().filter(|c| *c != '_').collect();
    plain.parse().ok().map(|float: f64| sign * float)
}

/// `2020-01-31`, alone or with a time: YAML 1.1 would read it as a date, so DVC's writer quotes it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !number(year, &[4]) {
        return false;
    }
    if number(month, &[2]) && number(rest, &[2]) {
        return true;
    }
    let Some(at) = rest.find(['T', 't', ' ', '\t']) else {
        return false;
    };
    let time = rest[at + 1..].trim_start_matches([' ', '\t']);
    number(month, &[1, 2]) && number(&rest[..at], &[1, 2]) && is_time(time, &number)
}

fn is_time(text: &str, number: &dyn Fn(&str, &[usize]) -> bool) -> bool {
    let mut parts = text.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    if !number(hour, &[1, 2]) || !number(minute, &[2]) || rest.len() < 2 || !rest.is_char_boundary(2) {
        return false;
    }
    let (second, rest) = rest.split_at(2);
    let rest = match rest.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let zone = rest.trim_start_matches([' ', '\t']);
    let is_zone = match zone.strip_prefix(['-', '+']) {
        Some(offset) => match offset.split_once(':') {
            Some((hours, minutes)) => number(hours, &[1, 2]) && number(minutes, &[2]),
            None => number(offset, &[1, 2]),
        },
        None => rest.is_empty() || zone == "Z",
    };
    number(second, &[2]) && is_zone
}

/// A float as Python's `repr` writes it: the shortest digits that read back the same.
pub fn python_float(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if 0.0 < float { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{float:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_dvc_reads() {
        let cases = [
            ("yes", "Str(\"yes\")"),
            ("12:30:45", "Str(\"12:30:45\")"),
            ("1.0.0", "Str(\"1.0.0\")"),
            (".5e3", "Str(\".5e3\")"),
            ("+", "Str(\"+\")"),
            (".", "Str(\".\")"),
            ("e5", "Str(\"e5\")"),
            ("0o17", "Int(15)"),
            ("0777", "Int(777)"),
            ("1_000", "Int(1000)"),
            ("-0x1F", "Int(-31)"),
            ("1e5", "Float(100000.0)"),
            ("1e-05", "Float(1e-5)"),
            ("-.5", "Float(-0.5)"),
            ("1.", "Float(1.0)"),
            ("-.inf", "Float(-inf)"),
            ("~", "Null"),
            ("TRUE", "Bool(true)"),
        ];
        for (text, expected) in cases {
            assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (1.0, "1.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
        ];
        for (float, expected) in cases {
            assert_eq!(python_float(float), expected);
        }
    }
}
