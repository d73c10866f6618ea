//! What engines can do, by the version of their interface: one table, which the code asks and the documentation shows.

use std::fmt::Write as _;

/// Version of the engine's interface.
pub type Api = (usize, usize);

/// Something that not every engine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Everything that no other row names.
    Everything,
    /// BuildKit, unless the engine's settings turn it off.
    BuildKit,
    /// Here-documents, `--link`, `RUN --network`: a Dockerfile of BuildKit's own version 1.4.
    HereDocuments,
    /// `ADD --checksum`, `ADD --keep-git-dir`: Dockerfile 1.6.
    Checksums,
    /// `--exclude`, `--parents`, `RUN --security`, `RUN --device`: Dockerfile 1.20.
    Filters,
    /// `GET /system/df` for one kind of object.
    DiskUsageByKind,
    /// A container is created on all of its networks at once.
    SeveralNetworks,
    /// Health checks that ask more often while a container starts.
    StartInterval,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What.
    pub capability: Capability,
    /// First version of the interface that has it.
    pub since: Api,
    /// The engine that brought that version.
    pub engine: &'static str,
    /// What stackctl does with it.
    pub with: &'static str,
    /// What it does without.
    pub without: &'static str,
}

/// The table, by version. Versions are those of Docker's "Engine API version history"; what a Dockerfile may say
/// follows from the BuildKit that is in that engine (release notes of Docker Engine and of Dockerfile).
pub const TABLE: &[Row] = &[
    Row {
        capability: Capability::BuildKit,
        since: (1, 39),
        engine: "18.09",
        with: "builds with BuildKit: `RUN --mount`, `COPY --chmod`, `build.secrets`, steps side by side",
        without: "where the engine's settings turn it off (`\"features\": {\"buildkit\": false}`), builds with the classic builder; a Dockerfile or a secret that needs BuildKit is refused before anything is sent",
    },
    Row {
        capability: Capability::Everything,
        since: (1, 41),
        engine: "20.10",
        with: "works",
        without: "refuses the engine at the first contact",
    },
    Row {
        capability: Capability::HereDocuments,
        since: (1, 42),
        engine: "23.0",
        with: "builds Dockerfiles with here-documents, `--link` and `RUN --network`",
        without: "refuses such a Dockerfile before anything is sent, unless its first line is `# syntax=docker/dockerfile:1`, by which the engine fetches a newer reader of Dockerfiles from a registry",
    },
    Row {
        capability: Capability::DiskUsageByKind,
        since: (1, 42),
        engine: "23.0",
        with: "asks for the sizes of images and of the build cache only, where the disk is short",
        without: "asks for everything's, which takes the engine longer",
    },
    Row {
        capability: Capability::Checksums,
        since: (1, 44),
        engine: "25.0",
        with: "builds Dockerfiles with `ADD --checksum` and `ADD --keep-git-dir`",
        without: "as for here-documents",
    },
    Row {
        capability: Capability::SeveralNetworks,
        since: (1, 44),
        engine: "25.0",
        with: "creates a container on all of its networks in one call",
        without: "connects it to the others one by one, before it starts",
    },
    Row {
        capability: Capability::StartInterval,
        since: (1, 44),
        engine: "25.0",
        with: "lets the engine ask a health check every second while a container starts",
        without: "the engine's first answer comes after `interval`",
    },
    Row {
        capability: Capability::Filters,
        since: (1, 53),
        engine: "29.2",
        with: "builds Dockerfiles with `--exclude`, `--parents`, `RUN --security` and `RUN --device`",
        without: "as for here-documents",
    },
];

impl Capability {
    /// Its row.
    pub fn row(self) -> &'static Row {
        // The table has a row for each; a test looks.
        TABLE.iter().find(|row| row.capability == self).unwrap_or(&TABLE[0])
    }

    /// Whether a version of the interface has it.
    pub fn is_in(self, api: Api) -> bool {
        api >= self.row().since
    }
}

/// The page `docs/engine-versions.md`.
pub fn document() -> String {
    let mut out = String::from(
        "# What each engine can do\n\n\
         <!-- Generated from src/engine/capability.rs: `UPDATE_DOCS=1 cargo test --test cli docs`. -->\n\n\
         stackctl speaks the newest version of the engine's interface that both know, and asks this table what that \
         version has. Everything else works alike with every engine from 20.10 on. `docker version` shows an \
         engine's version.\n\n\
         | since API | Docker Engine | with it, stackctl | without it |\n|---|---|---|---|\n",
    );
    for Row { since, engine, with, without, .. } in TABLE {
        let _ = writeln!(out, "| {}.{} | {engine} | {with} | {without} |", since.0, since.1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_row_and_rows_are_by_version() {
        use Capability as C;
        let all = [
            C::Everything,
            C::BuildKit,
            C::HereDocuments,
            C::Checksums,
            C::Filters,
            C::DiskUsageByKind,
            C::StartInterval,
            C::SeveralNetworks,
        ];
        assert_eq!(TABLE.len(), all.len());
        for capability in all {
            assert_eq!(capability.row().capability, capability);
            assert!(capability.is_in(capability.row().since));
            let (major, minor) = capability.row().since;
            assert!(!capability.is_in((major, minor - 1)));
        }
        assert!(TABLE.is_sorted_by_key(|row| row.since));
    }
}
