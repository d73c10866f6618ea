//! A container that starts again and again says the same again and again: once is enough.

/// The lines, without those at the end that say again what stands before them. Numbers may differ, since processes and moments do; those that
/// may be a status of HTTP may not.
pub fn without_repeats(mut lines: Vec<String>) -> Vec<String> {
    let plain: Vec<String> = lines.iter().map(|line| without_numbers(line)).collect();
    let same = |period: usize| plain.iter().rev().zip(plain.iter().rev().skip(period)).take_while(|(a, b)| a == b);
    let again =
        (1..=lines.len() / 2).map(|period| (period, same(period).count())).find(|(period, same)| same >= period);
    // The first time is whole; the last one may have just begun.
    lines.truncate(lines.len() - again.map_or(0, |(_, same)| same));
    lines
}

fn without_numbers(line: &str) -> String {
    let status = |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
    let plain = |word: &str| {
        word.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
    };
    let word = |word: &str| if status(word) { word.to_owned() } else { plain(word) };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_left_out() {
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["a"], &["a"]),
            (&["a", "b"], &["a", "b"]),
            (&["tini (7): no", "tini (12): no", "tini (7): no"], &["tini (7): no"]),
            (&["begin", "a", "b", "a", "b", "a", "b"], &["begin", "a", "b"]),
            // The last of them has just begun.
            (&["a", "b", "c", "a", "b", "c", "a"], &["a", "b", "c"]),
            // Ends with something new.
            (&["a", "b", "a", "b", "c"], &["a", "b", "a", "b", "c"]),
            (&["GET /health 503", "GET /health 200"], &["GET /health 503", "GET /health 200"]),
            (&["18:01:02.345 no", "18:01:03.999 no"], &["18:01:02.345 no"]),
        ];
        for (lines, expected) in cases {
            let lines = lines.iter().map(|&l| l.to_owned()).collect();
            assert_eq!(without_repeats(lines), *expected);
        }
    }
}
