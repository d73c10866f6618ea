//! A database is not started on data that it cannot read.

use std::collections::BTreeMap;

use stackctl::config;
use stackctl::model::container::label;
use stackctl::model::observed::{Observed, ObservedVolume};
use stackctl::model::stack::Stack;
use stackctl::plan::data::readable;

fn stack(preset: &str) -> Stack {
    let user = if preset.starts_with("postgres") { "username = \"ada\"\n" } else { "" };
    let text = format!("name = \"x\"\n[services.db]\npreset = \"{preset}\"\n{user}");
    config::load(&text, None, &BTreeMap::new()).stack.expect("valid")
}

/// What the data says.
#[derive(Debug, Clone, Copy)]
enum Data {
    /// Nobody could look.
    Unseen,
    /// There is none.
    Absent,
    /// This version wrote it.
    Of(u32),
}

/// A volume made for a version, and its data.
fn volume(made_for: Option<&str>, data: Data) -> Observed {
    let labels = made_for.map(|v| (label::DATA_VERSION.to_owned(), v.to_owned())).into_iter().collect();
    let name = || stack("postgres:15").services["db"].name.clone();
    let written_by = match data {
        Data::Unseen => None,
        Data::Absent => Some((name(), None)),
        Data::Of(version) => Some((name(), Some(version))),
    };
    Observed {
        volumes: vec![ObservedVolume { name: "x_db-data".to_owned(), labels }],
        written_by: written_by.into_iter().collect(),
        ..Observed::default()
    }
}

#[test]
fn what_was_written_by_another_version_is_refused() {
    for (preset, made_for, data, refused) in [
        ("postgres:15", None, Data::Unseen, false),
        ("postgres:16", Some("16"), Data::Unseen, false),
        ("postgres:16", Some("15"), Data::Unseen, true),
        ("postgres:15-alpine", Some("16"), Data::Unseen, true),
        ("postgres:16", None, Data::Of(15), true),
        // Somebody has upgraded it where it is: the data knows better than the volume.
        ("postgres:16", Some("15"), Data::Of(16), false),
        ("postgres:15", Some("15"), Data::Of(16), true),
        // It never got as far as to write anything.
        ("postgres:16", Some("15"), Data::Absent, false),
        ("postgres:16", Some("nonsense"), Data::Unseen, false),
        ("redis:7", Some("15"), Data::Unseen, false),
    ] {
        let found = readable(&stack(preset), &volume(made_for, data));
        assert_eq!(found.is_err(), refused, "{preset} on {made_for:?}, {data:?}: {found:?}");
    }
    assert_eq!(readable(&stack("postgres:16"), &Observed::default()), Ok(()), "no volume, no data");
}

#[test]
fn the_refusal_says_what_to_do() {
    let error = readable(&stack("postgres:16"), &volume(Some("15"), Data::Unseen)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "`db` (line 2) is PostgreSQL 16 now, and the data in `x_db-data` is of PostgreSQL 15, which 16 cannot read"
    );
    let way_out = stackctl::apply::ApplyError::from(error).hint().expect("a way out");
    for words in [
        "go back to `postgres:15`",
        "stackctl exec -T db pg_dump -U ada ada > ada.sql",
        "[services.db16]",
        "stackctl exec -T db16 psql -U ada ada < ada.sql",
    ] {
        assert!(way_out.contains(words), "{words}: {way_out}");
    }
}
