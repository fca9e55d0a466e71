//! Numbers of `json.scanner`: how long they are, and `int`.

use crate::memory::TypedText;
use crate::versions::Versions;

/// `sys.get_int_max_str_digits()`
const MAX_INT_DIGITS: usize = 4300;

/// `-?(0|[1-9][0-9]*)`
pub(super) fn integer_length(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let digits = bytes.get(sign..).unwrap_or_default();
    match digits.first()? {
        b'0' => Some(sign + 1),
        b'1'..=b'9' => Some(sign + digits_length(digits)),
        _ => None,
    }
}

/// `\.[0-9]+`, or 0
pub(super) fn fraction_length(bytes: &[u8]) -> usize {
    match bytes.strip_prefix(b".").map_or(0, digits_length) {
        0 => 0,
        digits => 1 + digits,
    }
}

/// `[eE][-+]?[0-9]+`, or 0
pub(super) fn exponent_length(bytes: &[u8]) -> usize {
    let Some((b'e' | b'E', rest)) = bytes.split_first() else {
        return 0;
    };
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    match digits_length(rest.get(sign..).unwrap_or_default()) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn digits_length(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit());
    end.unwrap_or(bytes.len())
}

/// `int(number)`
pub(super) fn int(number: &str, versions: Versions) -> Result<TypedText, String> {
    let digits = number.trim_start_matches('-').len();
    if digits > MAX_INT_DIGITS {
        let unit = if versions.int_limit_is_of_digits() { " digits" } else { "" };
        return Err(format!(
            "Exceeds the limit ({MAX_INT_DIGITS}{unit}) for integer string conversion: value has \
             {digits} digits; use sys.set_int_max_str_digits() to increase the limit"
        ));
    }
    Ok(if number == "-0" { "0" } else { number }.into())
}
