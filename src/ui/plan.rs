//! A plan: for people grouped by service with its reasons, for programs as data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plan::step::{Action, Plan, Step};

use super::paint::Paint;
use super::text::{clean, columns, count, pad, wrap};

/// Group of what belongs to no service: networks, images, state.
const STACK: &str = "the stack";

/// For people. Without `details`, steps that change nothing (waiting, asking, testing) are left out.
pub fn human(plan: &Plan, paint: Paint, width: usize, details: bool) -> String {
    let mut out = String::new();
    for (service, steps) in grouped(plan) {
        let steps: Vec<&Step> = steps.into_iter().filter(|s| details || shown(s)).collect();
        if steps.is_empty() {
            continue;
        }
        let head = paint.bold(clean(service));
        let _ = match group_sign(&steps) {
            // Networks, images and state come and go in one group.
            _ if service == STACK => writeln!(out, "{head}"),
            sign => writeln!(out, "{} {head}", coloured(sign, paint)),
        };
        let texts: Vec<String> = steps.iter().map(|s| clean(&s.action.to_string())).collect();
        // Causes stand in a column of their own, unless one long step would push them all off the line.
        let column = texts.iter().map(|t| columns(t)).filter(|c| *c <= width / 2).max().unwrap_or(0);
        for (step, text) in steps.into_iter().zip(texts) {
            out.push_str(&line(step, &text, column, paint, width));
        }
        out.push('\n');
    }
    for hook in &plan.on_failure {
        let text = format!("{} of {}", clean(&hook.command.join(" ")), clean(hook.service.as_str()));
        let _ = writeln!(out, "{} {}", paint.dim("if it fails:"), wrap(&text, width, 13));
    }
    if !plan.on_failure.is_empty() {
        out.push('\n');
    }
    for note in &plan.notes {
        let _ = writeln!(out, "{} {}", paint.cyan("note:"), wrap(&clean(note), width, 6));
    }
    if !plan.notes.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(plan, paint));
    out
}

/// What would be done, and in a line of its own whether anybody notices.
pub fn summary(plan: &Plan, paint: Paint) -> String {
    if plan.is_empty() {
        return format!("{}: everything is as stack.toml says; nothing to do", plan.project);
    }
    let counts = Counts::of(plan);
    let signs = [
        (counts.made, paint.green(format!("{} to make", counts.made))),
        (counts.changed, paint.yellow(format!("{} to change", counts.changed))),
        (counts.removed, paint.red(format!("{} to take away", counts.removed))),
    ];
    let signs: Vec<String> = signs.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text).collect();
    let mut out = format!("release {} of {}: {}", plan.release, plan.project, count(plan.steps.len(), "step"));
    if !signs.is_empty() {
        let _ = write!(out, " ({})", signs.join(", "));
    }
    let interrupts = format!("interrupts service: {}", count(counts.interrupts, "step"));
    let destroys = format!("destroys data: {}", count(counts.destroys, "step"));
    let consequence = match (counts.interrupts, counts.destroys) {
        (0, 0) => "service is not interrupted, nothing is destroyed".to_owned(),
        (_, 0) => paint.yellow(interrupts),
        (0, _) => paint.bold_red(destroys),
        (_, _) => format!("{}; {}", paint.yellow(interrupts), paint.bold_red(destroys)),
    };
    format!("{out}\n{consequence}")
}

/// For programs. `schema` changes when a key goes away or changes its meaning.
pub fn json(plan: &Plan) -> Value {
    let names = names(plan);
    let counts = Counts::of(plan);
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            json!({
                "index": index,
                "sign": step.action.sign().to_string(),
                "service": service_of(&step.action, plan, &names),
                "text": step.action.to_string(),
                "cause": step.cause,
                "after": step.after,
                "interrupts": step.interrupts,
                "at_most_seconds": step.at_most.map(crate::base::units::Span::ceil_seconds),
                "destroys": step.destroys,
                "action": step.action,
            })
        })
        .collect();
    json!({
        "schema": "stackctl.plan/1",
        "project": plan.project,
        "release": plan.release,
        "changes": !plan.is_empty(),
        "needs_consent": plan.needs_consent(),
        "summary": {
            "make": counts.made, "change": counts.changed, "remove": counts.removed,
            "interrupts": counts.interrupts, "destroys": counts.destroys,
        },
        "services": services(plan),
        "on_failure": plan.on_failure,
        "notes": plan.notes,
        "steps": steps,
    })
}

/// Each service with what happens to it as a whole, and every reason once.
fn services(plan: &Plan) -> Vec<Value> {
    let told = |step: &&Step| step.action.sign() != '·';
    grouped(plan)
        .into_iter()
        .filter(|(service, steps)| *service != STACK && steps.iter().any(told))
        .map(|(service, steps)| {
            let mut causes: Vec<&str> = Vec::new();
            // What is made or written says why; all else follows from that.
            let first = |s: &&&Step| matches!(s.action, Action::Create { .. } | Action::WriteFiles { .. });
            let reasons: Vec<&&Step> = steps.iter().filter(first).collect();
            let all: Vec<&&Step> = steps.iter().filter(|s| told(s)).collect();
            for step in if reasons.is_empty() { all } else { reasons } {
                if !causes.contains(&step.cause.as_str()) {
                    causes.push(&step.cause);
                }
            }
            json!({ "service": service, "sign": group_sign(&steps).to_string(), "causes": causes })
        })
        .collect()
}

struct Counts {
    made: usize,
    changed: usize,
    removed: usize,
    interrupts: usize,
    destroys: usize,
}

impl Counts {
    fn of(plan: &Plan) -> Self {
        let number = |test: &dyn Fn(&Step) -> bool| plan.steps.iter().filter(|s| test(s)).count();
        Self {
            made: number(&|s| s.action.sign() == '+'),
            changed: number(&|s| s.action.sign() == '~'),
            removed: number(&|s| s.action.sign() == '-'),
            interrupts: number(&|s| s.interrupts.is_some()),
            destroys: number(&|s| s.destroys),
        }
    }
}

fn shown(step: &Step) -> bool {
    let mark = matches!(&step.action, Action::WriteState { files, .. } if files.iter().all(|f| f.path.starts_with("applied/")));
    (step.action.sign() != '·' && !mark) || step.interrupts.is_some() || step.destroys
}

/// What happens to a service as a whole: `±` where containers are replaced by others.
fn group_sign(steps: &[&Step]) -> char {
    let has = |test: fn(&Action) -> bool| steps.iter().any(|s| test(&s.action));
    let made = has(|a| matches!(a, Action::Create { .. }));
    let removed = has(|a| matches!(a, Action::Remove { .. }));
    match (made, removed) {
        (true, true) => '±',
        (true, false) => '+',
        (false, true) if !has(|a| a.sign() == '~') => '-',
        _ => '~',
    }
}

fn coloured(sign: char, paint: Paint) -> String {
    let text = sign.to_string();
    match sign {
        '+' => paint.green(&text),
        '~' | '±' => paint.yellow(&text),
        '-' => paint.red(&text),
        _ => paint.dim(&text),
    }
}

fn line(step: &Step, text: &str, column: usize, paint: Paint, width: usize) -> String {
    let sign = coloured(step.action.sign(), paint);
    let cause = clean(&step.cause);
    let together = 4 + columns(text).max(column) + 2 + columns(&cause);
    let mut out = if cause.is_empty() {
        format!("  {sign} {}\n", wrap(text, width, 4))
    } else if together <= width && columns(text) <= column {
        format!("  {sign} {}  {}\n", pad(text, column), paint.dim(cause))
    } else {
        format!("  {sign} {}\n      {}\n", wrap(text, width, 4), paint.dim(wrap(&cause, width, 6)))
    };
    if let Some(what) = &step.interrupts {
        let time = step.at_most.map(|t| format!(" (at most {t})")).unwrap_or_default();
        let text = wrap(&format!("interrupts: {}{time}", clean(what)), width, 8);
        let _ = writeln!(out, "      {}", paint.yellow(text));
    }
    if step.destroys {
        let _ = writeln!(out, "      {}", paint.bold_red("destroys: it cannot be made again"));
    }
    out
}

/// Steps by service, in the order in which services first appear; what belongs to none comes first.
fn grouped(plan: &Plan) -> Vec<(&str, Vec<&Step>)> {
    let names = names(plan);
    let mut groups: Vec<(&str, Vec<&Step>)> = vec![(STACK, Vec::new())];
    for step in &plan.steps {
        let service = service_of(&step.action, plan, &names).unwrap_or(STACK);
        match groups.iter_mut().find(|(name, _)| *name == service) {
            Some((_, steps)) => steps.push(step),
            None => groups.push((service, vec![step])),
        }
    }
    groups
}

/// Containers whose service a step of the plan tells; renamed ones under both names.
fn names(plan: &Plan) -> BTreeMap<&str, &str> {
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        match &step.action {
            Action::Create { container, service }
            | Action::RunJob { container, service, .. }
            | Action::PostDeploy { container, service, .. } => {
                out.insert(container.name.as_str(), service.as_str());
            }
            Action::WaitReady { container, service, .. }
            | Action::Gate { container, service, .. }
            | Action::Reload { container, service, .. } => {
                out.insert(container, service.as_str());
            }
            _ => {}
        }
    }
    for step in &plan.steps {
        if let Action::Rename { container, to } = &step.action
            && let Some(service) = out.get(container.as_str()).copied()
        {
            out.insert(to, service);
        }
    }
    out
}

fn service_of<'p>(action: &'p Action, plan: &'p Plan, names: &BTreeMap<&'p str, &'p str>) -> Option<&'p str> {
    let container = match action {
        Action::WriteFiles { service, .. }
        | Action::CopyFiles { service, .. }
        | Action::Create { service, .. }
        | Action::WaitReady { service, .. }
        | Action::Watch { service, .. }
        | Action::Gate { service, .. }
        | Action::Reach { service, .. }
        | Action::RunJob { service, .. }
        | Action::PostDeploy { service, .. }
        | Action::Switch { service, .. }
        | Action::Reload { service, .. }
        | Action::Drain { service, .. } => return Some(service.as_str()),
        Action::Build { build, .. } => return Some(build.name.as_str()),
        Action::DropFiles { service, .. } => return Some(service),
        Action::Start { container }
        | Action::Stop { container, .. }
        | Action::Remove { container }
        | Action::Rename { container, .. }
        | Action::Update { container, .. }
        | Action::Disconnect { container, .. }
        | Action::TestProxy { container, .. } => container,
        Action::WriteState { .. }
        | Action::Pull { .. }
        | Action::Send { .. }
        | Action::CreateNetwork { .. }
        | Action::CreateVolume { .. }
        | Action::RemoveNetwork { .. }
        | Action::RemoveVolume { .. } => return None,
    };
    names.get(container.as_str()).copied().or_else(|| from_name(container, plan.project.as_str()))
}

/// `app` of `sum-app-1` and of `sum-app-1-next`: what stands between the project and the number.
fn from_name<'p>(container: &'p str, project: &str) -> Option<&'p str> {
    let rest = container.strip_prefix(project)?.strip_prefix('-')?;
    let number = rest.match_indices('-').find(|(at, _)| rest[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    Some(&rest[..number.0]).filter(|name| !name.is_empty())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
