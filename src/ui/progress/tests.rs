use super::*;
use crate::base::env::Env;
use crate::base::name::ProjectName;
use crate::ui::output::Manner;

fn plan() -> Plan {
    let step = |action, cause: &str| Step {
        action,
        cause: cause.to_owned(),
        after: Vec::new(),
        interrupts: None,
        at_most: None,
        destroys: false,
    };
    Plan {
        on_failure: Vec::new(),
        project: ProjectName::parse("sum").unwrap_or_else(|| unreachable!()),
        release: 4,
        steps: vec![
            step(Action::Pull { image: "nginx:1.30".into() }, "not there"),
            step(Action::Start { container: "sum-app-1".into() }, "new"),
        ],
        notes: Vec::new(),
    }
}

fn show(sink: &mut impl Sink) {
    let plan = plan();
    let (pull, start) = (&plan.steps[0], &plan.steps[1]);
    sink.event(Event::Note("reading the engine".into()));
    sink.event(Event::Begin(&plan));
    sink.event(Event::Started { index: 0, step: pull });
    sink.event(Event::Progress { index: 0, step: pull, text: "layer 1 \x1b[2J".into(), lasting: false });
    sink.event(Event::Progress { index: 0, step: pull, text: "layer 2".into(), lasting: false });
    sink.event(Event::Finished { index: 0, step: pull, millis: 1234 });
    sink.event(Event::Started { index: 1, step: start });
    sink.event(Event::Failed { index: 1, step: start, error: "no such container".into() });
    sink.event(Event::Undoing("what was begun".into()));
    sink.event(Event::End { done: false, millis: 65_000 });
}

#[test]
fn plain_lines_have_the_time_and_no_escapes() {
    let (out, stdout, stderr) = Output::buffers(&Env::default(), Manner::default());
    show(&mut Progress::plain(&out, || 12 * 3600 + 5));
    assert_eq!(stdout.text(), "");
    assert_eq!(
        stderr.text(),
        "12:00:05Z reading the engine\n\
         12:00:05Z release 4 of sum: 2 steps\n\
         12:00:05Z begin pull nginx:1.30\n\
         12:00:05Z       pull nginx:1.30: layer 1 \\u{1b}[2J\n\
         12:00:05Z done  pull nginx:1.30 (1.2s)\n\
         12:00:05Z FAILED start sum-app-1: no such container\n\
         12:00:05Z undoing: what was begun\n\
         12:00:05Z gave up after 1m05s\n"
    );
}

#[test]
fn json_lines_go_to_stdout() {
    let manner = Manner { json: true, ..Manner::default() };
    let (out, stdout, stderr) = Output::buffers(&Env::default(), manner);
    show(&mut Progress::new(&out));
    assert_eq!(stderr.text(), "");
    let lines: Vec<serde_json::Value> =
        stdout.text().lines().map(|l| serde_json::from_str(l).unwrap_or_default()).collect();
    let names: Vec<&str> = lines.iter().filter_map(|l| l["event"].as_str()).collect();
    assert_eq!(
        names,
        ["note", "begin", "started", "progress", "progress", "finished", "started", "failed", "undoing", "end"]
    );
    assert_eq!(lines[5]["millis"], 1234);
}

#[test]
fn quiet_still_tells_failures() {
    let manner = Manner { quiet: true, ..Manner::default() };
    let (out, stdout, stderr) = Output::buffers(&Env::default(), manner);
    show(&mut Progress::new(&out));
    assert_eq!((stdout.text().as_str(), stderr.text().as_str()), ("", "failed: start sum-app-1: no such container\n"));
}

#[test]
fn live_lines_do_not_fail_without_a_terminal_behind_them() {
    let env = Env { stderr_tty: true, ..Env::default() };
    let (out, _, _) = Output::buffers(&env, Manner::default());
    show(&mut Progress::new(&out));
}
