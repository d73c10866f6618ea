//! "Did you mean": the nearest of the allowed words.

/// The allowed word closest to `typed`, if it is close enough to be a slip: Jaro-Winkler ≥ 0.8, or one typing error
/// in a short word, which Jaro-Winkler judges too hard. Case is ignored.
pub fn nearest<'a>(typed: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    allowed
        .into_iter()
        .map(|word| {
            let lower = word.to_lowercase();
            let one_slip = typed.len() > 2 && strsim::osa_distance(&typed, &lower) == 1;
            (strsim::jaro_winkler(&typed, &lower).max(if one_slip { 0.8 } else { 0.0 }), word)
        })
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Like [`nearest`], for words that look alike and mean something else: at most a quarter of the letters are wrong.
pub fn slip<'a>(typed: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = nearest(typed, allowed)?;
    let wrong = strsim::osa_distance(&typed.to_lowercase(), &near.to_lowercase());
    (wrong <= (typed.chars().count() / 4).max(1)).then_some(near)
}

/// `a`, `b` or `c`, each in backticks.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let keys = ["replicas", "image", "healthcheck", "depends_on"];
        assert_eq!(nearest("replica", keys), Some("replicas"));
        assert_eq!(nearest("health_check", keys), Some("healthcheck"));
        assert_eq!(nearest("xyzzy", keys), None);
        assert_eq!(nearest("aap", ["web", "app"]), Some("app"));
        assert_eq!(slip("SYS_ADMIN", ["SYS_TIME", "CHOWN"]), None);
        assert_eq!(slip("selfsigned", ["self-signed", "off"]), Some("self-signed"));
    }
}
