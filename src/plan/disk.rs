//! Whether there is room for what a plan brings onto the engine's disk. A disk that is full stops more than a deploy:
//! databases, logs, and the engine itself.

use std::fmt::Write as _;

use crate::base::units::ByteSize;
use crate::model::observed::{Disk, Reclaimable};

use super::step::{Action, Plan};

/// Below this, nothing is pulled or built: a small image is larger, and a database needs room to go on.
pub const LEAST: ByteSize = ByteSize(256 << 20);

/// Below this, and below a tenth of the disk, it is said: a typical image with its layers unpacked is about that.
pub const LITTLE: ByteSize = ByteSize(2 << 30);

/// What there is to say about room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Enough,
    /// It may do; in words.
    Little(String),
    /// It will not do; in words.
    None(String),
}

/// Whether a plan brings anything that needs room.
pub fn asks(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::Pull { .. } | Action::Build { .. }))
}

/// Judges the room. `contexts` is what builds are sent, bytes: they are unpacked beside the layers they become.
pub fn judge(disk: Disk, contexts: u64) -> Room {
    let Disk { free, total } = disk;
    let needed = ByteSize(LEAST.0.saturating_add(contexts.saturating_mul(2)));
    let figures = format!("the engine's disk has {} free of {}", rounded(free), rounded(total));
    if total.0 == 0 {
        return Room::Enough;
    }
    if free < needed {
        let what = if contexts > 0 { "what is built here wants" } else { "a pull wants" };
        return Room::None(format!("{figures}; {what} {} at least", rounded(needed)));
    }
    if free < LITTLE && free.0 < total.0 / 10 { Room::Little(figures) } else { Room::Enough }
}

/// The way out, with what it would bring where the engine says so.
pub fn way_out(unused: Option<Reclaimable>) -> String {
    let mut out = "`stackctl prune` removes this stack's old images and volumes".to_owned();
    let Some(unused) = unused else { return out + ", `docker system prune` what nothing uses" };
    if unused.cache.0 >> 20 > 0 {
        let _ = write!(out, ", `docker builder prune` up to {} that builds keep", rounded(unused.cache));
    }
    if unused.images.0 >> 20 > 0 {
        let _ =
            write!(out, ", `docker image prune --all` up to {} of images without a container", rounded(unused.images));
    }
    out
}

/// Three digits are enough to decide by.
fn rounded(size: ByteSize) -> String {
    let tenth = |unit: u64| format!("{}.{}", size.0 / unit, size.0 % unit * 10 / unit);
    match size.0 {
        0..0x4000_0000 => format!("{} MiB", size.0 >> 20),
        _ => format!("{} GiB", tenth(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_said_or_passed_over() {
        let disk = |free: u64, total: u64| Disk { free: ByteSize(free << 20), total: ByteSize(total << 20) };
        assert_eq!(judge(disk(50_000, 250_000), 0), Room::Enough);
        assert_eq!(judge(disk(1_500, 8_000), 0), Room::Enough, "a small disk with a fifth free");
        assert_eq!(
            judge(disk(1_500, 40_960), 0),
            Room::Little("the engine's disk has 1.4 GiB free of 40.0 GiB".to_owned())
        );
        assert_eq!(
            judge(disk(255, 40_960), 0),
            Room::None("the engine's disk has 255 MiB free of 40.0 GiB; a pull wants 256 MiB at least".to_owned())
        );
        assert_eq!(
            judge(disk(1_000, 40_960), 500 << 20),
            Room::None(
                "the engine's disk has 1000 MiB free of 40.0 GiB; what is built here wants 1.2 GiB at least".to_owned()
            )
        );
        assert_eq!(judge(Disk { free: ByteSize(0), total: ByteSize(0) }, 0), Room::Enough, "it does not say");
    }

    #[test]
    fn the_way_out_has_figures() {
        let unused = Reclaimable { images: ByteSize(3 << 30), cache: ByteSize(300 << 20) };
        assert_eq!(
            way_out(Some(unused)),
            "`stackctl prune` removes this stack's old images and volumes, `docker builder prune` up to 300 MiB that builds keep, `docker image prune --all` up to 3.0 GiB of images without a container"
        );
        assert!(way_out(Some(Reclaimable::default())).ends_with("volumes"));
    }
}
