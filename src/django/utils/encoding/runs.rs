//! Tables of code points as text.

/// Where a run of consecutive codes begins, how many codes follow its first one, and the first one's
/// code point; `None`: these codes stand for nothing.
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) more: u32,
    pub(super) sign: Option<u32>,
}

/// The runs of the line of `table` that begins with `name`: `CODE:SIGN SIGN+MORE -`, in hexadecimal
/// digits; a run without a code follows the one before.
pub(super) fn runs(table: &'static str, name: &str) -> Option<impl Iterator<Item = Run> + use<>> {
    let line = table.lines().find_map(|line| {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        (first == name).then_some(rest)
    })?;
    let mut next = 0;
    Some(line.split_ascii_whitespace().filter_map(move |run| {
        let (start, signs) = match run.split_once(':') {
            Some((start, signs)) => (hex(start)?, signs),
            None => (next, run),
        };
        let (first, more) = signs.split_once('+').unwrap_or((signs, "0"));
        let (more, sign) = (hex(more)?, hex(first));
        next = start + more + 1;
        Some(Run { start, more, sign })
    }))
}

/// `-` is no number.
fn hex(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}
