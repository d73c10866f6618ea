//! A line that shows that something is going on, where there is a terminal to show it on.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use super::text::{clean, cut};

/// A spinner with a few words; gone when dropped.
pub struct Watch {
    bar: Option<ProgressBar>,
    width: usize,
}

impl Watch {
    /// Starts it with what is going on.
    pub fn new(out: &Output, words: &str) -> Self {
        let bar = out.is_live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant; without it the default one is drawn.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let watch = Self { bar, width: out.width().saturating_sub(16) };
        watch.say(words);
        watch
    }

    /// What is going on now.
    pub fn say(&self, words: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(cut(&clean(words), self.width));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
