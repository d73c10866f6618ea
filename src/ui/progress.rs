//! What happens while a plan is carried out: live lines on a terminal, plain lines with the time elsewhere, JSON lines
//! for programs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::apply::event::{Event, Sink};
use crate::plan::step::{Action, Plan, Step};

use super::output::Output;
use super::text::{clean, count, duration};

/// News of a step that nobody watches is repeated at most this often.
const NEWS_EVERY: Duration = Duration::from_secs(10);

/// Shows events. Made by [`Progress::new`] for one run of one plan.
pub struct Progress<'a> {
    out: &'a Output,
    view: View,
    failed: bool,
}

enum View {
    Live(Live),
    Plain { clock: fn() -> u64, news: BTreeMap<usize, Instant> },
    Json,
    Quiet,
}

struct Live {
    screen: MultiProgress,
    header: Option<ProgressBar>,
    steps: BTreeMap<usize, ProgressBar>,
}

impl<'a> Progress<'a> {
    /// The view that fits: JSON lines with `--json`, nothing but failures with `--quiet`, live lines on a terminal.
    pub fn new(out: &'a Output) -> Self {
        let view = if out.is_json() {
            View::Json
        } else if out.is_quiet() {
            View::Quiet
        } else if out.is_live() {
            View::Live(Live {
                screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
                header: None,
                steps: BTreeMap::new(),
            })
        } else {
            View::Plain { clock: seconds_of_day, news: BTreeMap::new() }
        };
        Self { out, view, failed: false }
    }

    /// Plain lines by this clock (seconds since midnight), whatever the terminal.
    pub fn plain(out: &'a Output, clock: fn() -> u64) -> Self {
        Self { out, view: View::Plain { clock, news: BTreeMap::new() }, failed: false }
    }

    fn finished(&mut self, step: &Step, millis: u64) {
        let paint = self.out.talk_paint();
        let line = format!("{} {} {}", paint.green("✓"), clean(&step.action.to_string()), paint.dim(duration(millis)));
        self.put(&line, Some(&format!("done  {} ({})", clean(&step.action.to_string()), duration(millis))));
    }

    fn failed(&mut self, step: &Step, error: &str) {
        self.failed = true;
        let paint = self.out.talk_paint();
        let (what, error) = (clean(&step.action.to_string()), clean(error));
        if let View::Quiet = self.view {
            self.out.error(format!("failed: {what}: {error}"));
            return;
        }
        self.put(
            &format!("{} {}: {error}", paint.red("✗"), paint.bold(&what)),
            Some(&format!("FAILED {what}: {error}")),
        );
    }

    /// A line above the live ones, or a plain one with the time; `None` leaves the plain view out.
    fn put(&mut self, live: &str, plain: Option<&str>) {
        match &self.view {
            View::Live(view) => {
                // Drawn by the screen, so that the live lines stay below it.
                let _ = view.screen.println(live);
            }
            View::Plain { clock, .. } => {
                if let Some(plain) = plain {
                    self.out.say(format!("{} {plain}", time_of_day(clock())));
                }
            }
            View::Json | View::Quiet => {}
        }
    }

    fn people(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin(plan) => self.begin(plan),
            Event::Started { index, step } => match &mut self.view {
                View::Live(view) => view.start(*index, step),
                View::Plain { .. } if is_long(&step.action) => {
                    let line = format!("begin {}", clean(&step.action.to_string()));
                    self.put("", Some(&line));
                }
                _ => {}
            },
            Event::Progress { index, step, text, lasting } => self.news(*index, step, text, *lasting),
            Event::Finished { index, step, millis } => {
                self.end_of(*index);
                self.finished(step, *millis);
            }
            Event::Failed { index, step, error } => {
                self.end_of(*index);
                self.failed(step, error);
            }
            Event::Undoing(what) => {
                let what = clean(what);
                let live = format!("{} {what}", self.out.talk_paint().yellow("undoing:"));
                self.put(&live, Some(&format!("undoing: {what}")));
            }
            Event::End { done, millis } => {
                if let View::Live(view) = &mut self.view {
                    view.clear();
                }
                let paint = self.out.talk_paint();
                let time = duration(*millis);
                let (live, plain) = if *done {
                    (format!("{} in {time}", paint.green("done")), format!("done in {time}"))
                } else {
                    (format!("{} after {time}", paint.red("gave up")), format!("gave up after {time}"))
                };
                self.put(&live, Some(&plain));
            }
            Event::Note(text) => {
                let text = clean(text);
                self.put(&self.out.talk_paint().dim(&text), Some(&text));
            }
        }
    }

    fn begin(&mut self, plan: &Plan) {
        let title = format!("release {} of {}", plan.release, plan.project);
        match &mut self.view {
            View::Live(view) => view.begin(&title, plan.steps.len()),
            _ => self.put("", Some(&format!("{title}: {}", count(plan.steps.len(), "step")))),
        }
    }

    fn news(&mut self, index: usize, step: &Step, text: &str, lasting: bool) {
        let line = format!("{}: {}", clean(&step.action.to_string()), clean(text));
        match &mut self.view {
            View::Live(view) => {
                if let Some(bar) = view.steps.get(&index) {
                    bar.set_message(line);
                }
            }
            View::Plain { news, .. } => {
                let now = Instant::now();
                if lasting || news.get(&index).is_none_or(|last| now.duration_since(*last) >= NEWS_EVERY) {
                    news.insert(index, now);
                    self.put("", Some(&format!("      {line}")));
                }
            }
            View::Json | View::Quiet => {}
        }
    }

    fn end_of(&mut self, index: usize) {
        if let View::Live(view) = &mut self.view {
            if let Some(bar) = view.steps.remove(&index) {
                view.screen.remove(&bar);
            }
            if let Some(header) = &view.header {
                header.inc(1);
            }
        }
    }
}

impl Sink for Progress<'_> {
    fn event(&mut self, event: Event<'_>) {
        if let View::Json = self.view {
            // A reader that went away must not stop a release half way.
            let _ = self.out.json_line(&as_json(&event));
        } else {
            self.people(&event);
        }
    }
}

impl Live {
    fn begin(&mut self, title: &str, steps: usize) {
        let bar = self.screen.add(ProgressBar::new(steps as u64));
        bar.set_style(style("{spinner} {prefix}: {pos} of {len} steps, {elapsed}"));
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.header = Some(bar);
    }

    fn start(&mut self, index: usize, step: &Step) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        bar.set_style(style("  {spinner} {wide_msg} {elapsed}"));
        bar.set_message(clean(&step.action.to_string()));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.steps.insert(index, bar);
    }

    fn clear(&mut self) {
        self.steps.clear();
        self.header = None;
        let _ = self.screen.clear();
    }
}

impl Drop for Live {
    /// An error or Ctrl-C leaves no half-drawn lines behind.
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; the default is never seen.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Steps worth a line before they are done.
fn is_long(action: &Action) -> bool {
    matches!(
        action,
        Action::Pull { .. }
            | Action::Send { .. }
            | Action::Build { .. }
            | Action::CopyFiles { .. }
            | Action::WaitReady { .. }
            | Action::Reach { .. }
            | Action::Watch { .. }
            | Action::RunJob { .. }
            | Action::PostDeploy { .. }
            | Action::Drain { .. }
            | Action::Stop { .. }
    )
}

fn as_json(event: &Event<'_>) -> serde_json::Value {
    let step = |name: &str, index: &usize, step: &Step| json!({ "event": name, "step": index, "action": step.action.to_string() });
    let with = |mut value: serde_json::Value, key: &str, more: serde_json::Value| {
        value[key] = more;
        value
    };
    match event {
        Event::Begin(plan) => {
            json!({ "event": "begin", "schema": "stackctl.progress/1", "project": plan.project, "release": plan.release,
                    "steps": plan.steps.len() })
        }
        Event::Started { index, step: s } => step("started", index, s),
        Event::Progress { index, step: s, text, .. } => with(step("progress", index, s), "text", json!(text)),
        Event::Finished { index, step: s, millis } => with(step("finished", index, s), "millis", json!(millis)),
        Event::Failed { index, step: s, error } => with(step("failed", index, s), "error", json!(error)),
        Event::Undoing(what) => json!({ "event": "undoing", "text": what }),
        Event::End { done, millis } => json!({ "event": "end", "done": done, "millis": millis }),
        Event::Note(text) => json!({ "event": "note", "text": text }),
    }
}

fn seconds_of_day() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() % 86_400)
}

/// `12:48:38Z`
fn time_of_day(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
