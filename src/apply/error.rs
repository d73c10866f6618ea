//! Why a deploy did not happen, or not to its end.

use crate::engine::{EngineError, LockError};
use crate::files::FilesError;
use crate::plan::PlanError;
use crate::render::RenderError;

/// What went wrong, with the next step in words.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// No plan can be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Secrets that have no value, each in a sentence with its line.
    #[error("{}", .0.join("\n"))]
    Secrets(Vec<String>),
    /// Somebody else is at it.
    #[error("another run is at work on this stack: {by}, for {seconds} s")]
    Locked {
        /// Who.
        by: String,
        /// How long, seconds.
        seconds: u64,
    },
    /// The stack on the engine is another stage's.
    #[error("project {project} was deployed as stage `{there}`, not `{here}`")]
    WrongStage {
        /// Project.
        project: String,
        /// Stage recorded on the engine.
        there: String,
        /// Stage asked for.
        here: String,
    },
    /// The engine's disk is too full for what is to come; how full, and the way out.
    #[error("{0}")]
    NoRoom(String, String),
    /// Under the lock, the plan turned out to interrupt or destroy what it did not before.
    #[error("the stack changed while it was looked at, and the plan now interrupts service")]
    NeedsConsent,
    /// Images of a release that one wants to go back to are not to be had any more, each in a sentence.
    #[error("release {release} cannot be done again: {}", .images.join("; "))]
    Gone {
        /// Number of the release.
        release: u32,
        /// What is missing.
        images: Vec<String>,
    },
    /// A sealed plan is not what would be done now; what is different, each in a few words.
    #[error("the plan is out of date: {}", .0.join("; "))]
    Stale(Vec<String>),
    /// There is no certificate; what serves goes on serving.
    #[error("{why}; {serves}")]
    Certificate {
        /// Why.
        why: String,
        /// What serves meanwhile.
        serves: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A credential could not be replaced; what was done of it is kept.
    #[error("the rotation stopped: {0}")]
    Rotation(String),
    /// A step failed.
    #[error("{0}")]
    Step(Box<Failure>),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A step that failed, with what helps to understand it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// What was being done.
    pub step: String,
    /// What happened.
    pub cause: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Container whose log follows.
    pub container: Option<String>,
    /// Its last lines.
    pub log: Vec<String>,
    /// What users are served now, in words.
    pub aftermath: String,
    /// Another stack took a network's addresses between looking and making: a new plan has others.
    pub raced: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {}: {}", self.step, self.cause)
    }
}

impl ApplyError {
    /// Whether a new plan would not meet the same.
    pub(super) fn raced(&self) -> bool {
        matches!(self, Self::Step(failure) if failure.raced)
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Step(failure) => failure.hint.clone(),
            Self::Certificate { hint, .. } => hint.clone(),
            Self::Locked { .. } => Some("wait for it to end; the lock frees itself when its holder is gone".to_owned()),
            Self::WrongStage { there, .. } => Some(if there.is_empty() {
                "leave `--stage` away, or give the stage another `name`".to_owned()
            } else {
                format!("say `--stage {there}`")
            }),
            Self::NoRoom(_, way_out) => Some(way_out.clone()),
            Self::Gone { .. } => Some(
                "check out the commit it was made from (`stackctl releases` shows it), then `stackctl up`; `hold_images` keeps such images from `docker system prune -a`"
                    .to_owned(),
            ),
            Self::Stale(_) => Some("make a new one with `stackctl plan --out FILE`, and look at it".to_owned()),
            Self::Plan(PlanError::ForeignData(all)) => {
                Some(all.iter().map(crate::plan::data::Foreign::way_out).collect::<Vec<_>>().join("; "))
            }
            Self::NeedsConsent => Some("look at `stackctl plan`, then run `stackctl up --yes`".to_owned()),
            _ => None,
        }
    }
}

impl From<LockError> for ApplyError {
    fn from(error: LockError) -> Self {
        match error {
            // `since` is made into a time span by whoever knows the time.
            LockError::Held { by, since } => Self::Locked { by, seconds: since },
            LockError::Engine(error) => Self::Engine(error),
        }
    }
}
