//! A verdict about one thing, before it is a finding.

/// What is to be said about one thing, before it becomes a finding: checks that only look at data return this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// As declared.
    Pass(String),
    /// Does not apply.
    Skip(String),
    /// Works, but.
    Warn(String),
    /// Could not be judged.
    Unsure(String),
    /// Not as declared.
    Fail(String),
}

impl Judged {
    /// From good to bad.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Skip(_) => 0,
            Self::Pass(_) => 1,
            Self::Warn(_) => 2,
            Self::Unsure(_) => 3,
            Self::Fail(_) => 4,
        }
    }

    /// The worst of several, with the name of each that is as bad; `None` of none.
    pub(super) fn worst<'a>(all: impl IntoIterator<Item = (&'a str, Self)>) -> Option<Self> {
        let all: Vec<(&str, Self)> = all.into_iter().collect();
        let rank = all.iter().map(|(_, judged)| judged.rank()).max()?;
        let (mut names, mut texts): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (name, judged) in all.iter().filter(|(_, judged)| judged.rank() == rank) {
            if !name.is_empty() {
                names.push(name);
            }
            if !texts.contains(&judged.text()) {
                texts.push(judged.text());
            }
        }
        let text = if rank < 2 || names.is_empty() {
            texts.join("; ")
        } else {
            format!("{}: {}", names.join(", "), texts.join("; "))
        };
        all.iter().find(|(_, judged)| judged.rank() == rank).map(|(_, judged)| judged.with(text))
    }

    fn text(&self) -> &str {
        match self {
            Self::Pass(text) | Self::Skip(text) | Self::Warn(text) | Self::Unsure(text) | Self::Fail(text) => text,
        }
    }

    fn with(&self, text: String) -> Self {
        match self {
            Self::Pass(_) => Self::Pass(text),
            Self::Skip(_) => Self::Skip(text),
            Self::Warn(_) => Self::Warn(text),
            Self::Unsure(_) => Self::Unsure(text),
            Self::Fail(_) => Self::Fail(text),
        }
    }
}

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It cannot be seen from where this runs: the question does not apply here.
    FromHere(String),
    /// It should be visible, but was not: there is no verdict.
    Broken(String),
}

impl From<Unseen> for Judged {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::FromHere(why) => Self::Skip(why),
            Unseen::Broken(why) => Self::Unsure(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Judged::{Fail, Pass, Skip, Warn};
    use super::*;

    #[test]
    fn the_worst_of_several_names_them() {
        let all =
            [("a", Pass("fine".into())), ("b", Fail("no".into())), ("c", Fail("no".into())), ("d", Warn("x".into()))];
        assert_eq!(Judged::worst(all), Some(Fail("b, c: no".into())));
        assert_eq!(Judged::worst([("a", Pass("fine".into())), ("b", Pass("fine".into()))]), Some(Pass("fine".into())));
        assert_eq!(Judged::worst([("a", Skip("no".into())), ("b", Pass("fine".into()))]), Some(Pass("fine".into())));
        assert_eq!(Judged::worst([]), None);
    }
}
