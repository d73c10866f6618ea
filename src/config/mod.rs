//! L2: from the text of stack.toml to a [`Stack`], or to every problem it has. Pure: the
//! file, `.env` and the environment come in as text.

pub mod beside;
pub mod decode;
pub mod describe;
pub mod dotenv;
pub mod explain;
pub mod interpolate;
pub mod keys;
pub mod lint;
pub mod lock;
mod lower;
pub mod preset;
pub mod print;
pub mod shape;
pub mod short;
pub mod tree;
pub mod values;
pub mod web;

use crate::base::name::ProjectName;
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::model::stack::Stack;

use beside::{Beside, Nothing};
use decode::Decode as _;
use interpolate::Variables;
use tree::{Node, Value};

/// What a file says, and what is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The stack; only there if no problem is an error.
    pub stack: Option<Stack>,
    /// Errors and warnings.
    pub problems: Problems,
}

/// Reads a file's text for a stage (the default one: `None`), where there are no files beside it.
pub fn load(text: &str, stage: Option<&str>, variables: &Variables) -> Loaded {
    load_beside(text, stage, variables, &Nothing)
}

/// Reads a file's text for a stage (the default one: `None`), and the files it names.
pub fn load_beside(text: &str, stage: Option<&str>, variables: &Variables, beside: &dyn Beside) -> Loaded {
    let mut problems = Problems::default();
    let mut root = tree::parse(text, &mut problems);
    // A tree with holes in it would only be misunderstood: syntax first.
    if problems.has_errors() {
        return Loaded { stack: None, problems: yaml(text).unwrap_or(problems) };
    }
    let stages = take_stages(&mut root, &mut problems);
    let source = Source { text, beside };
    let overlay = stages.iter().find(|s| Some(s.0.as_str()) == stage);
    let mut stack = build(source, root.clone(), overlay, stage, variables, &mut problems);
    if let Some(asked) = stage.filter(|asked| !stages.iter().any(|s| s.0 == *asked)) {
        let mut problem = Problem::error(format!("there is no stage `{asked}`")).rule("no-such-stage");
        let names: Vec<&str> = stages.iter().map(|s| s.0.as_str()).collect();
        problem = match nearest(asked, names.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `--stage {near}`?")),
            None if names.is_empty() => problem.help(format!("add a table `[stages.{asked}]`")),
            None => problem.help(format!("stages of this file: {}", names.join(", "))),
        };
        problems.push(problem);
    }
    // Stages nobody asked for are checked too: a file is right for all of them or wrong.
    for other in stages.iter().filter(|s| Some(s.0.as_str()) != stage) {
        let mut found = Problems::default();
        build(source, root.clone(), Some(other), Some(&other.0), &all_set(&root, &other.1, variables), &mut found);
        for problem in found.sorted().into_iter().filter(|p| p.severity == crate::base::problem::Severity::Error) {
            problems.push(problem);
        }
    }
    if problems.has_errors() {
        stack = None;
    }
    Loaded { stack, problems }
}

/// One problem instead of one a line, for a file in Compose's language.
fn yaml(text: &str) -> Option<Problems> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') && content != "---" {
            let (key, rest) = content.split_once(':')?;
            let key_like = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            if !key_like || !(rest.is_empty() || rest.starts_with(' ')) {
                return None;
            }
            let mut problems = Problems::default();
            problems.push(
                Problem::error("this looks like YAML; stack.toml is TOML")
                    .rule("syntax")
                    .at(at..at + line.trim_end().len())
                    .help("`stackctl init` writes a first one; most words are those of Compose"),
            );
            return Some(problems);
        }
        at += line.len();
    }
    None
}

/// Names of all stages of a file, in its order.
pub fn stages(text: &str) -> Vec<String> {
    let mut root = tree::parse(text, &mut Problems::default());
    take_stages(&mut root, &mut Problems::default()).into_iter().map(|(name, _)| name).collect()
}

type Stage = (String, Node);

/// Most stages of a file: all of them are checked, each time.
const MOST_STAGES: usize = 32;

/// Where a stack is read from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Text of stack.toml.
    pub text: &'a str,
    /// Files beside it.
    pub beside: &'a dyn Beside,
}

fn build(
    source: Source<'_>,
    mut root: Node,
    overlay: Option<&Stage>,
    stage: Option<&str>,
    variables: &Variables,
    problems: &mut Problems,
) -> Option<Stack> {
    if let Some((_, overlay)) = overlay {
        root.overlay(overlay.clone());
    }
    lower::apply_like(&mut root, problems);
    preset::external::check_keys(&root, problems);
    interpolate::interpolate(&mut root, variables, problems);
    let file = keys::File::decode(&root, problems)?;
    let named = root.get("name").is_some();
    let secrets = match root.get("secrets").map(|e| &e.node.value) {
        Some(Value::Table(entries)) => entries.iter().map(|e| e.key.clone()).collect(),
        _ => Vec::new(),
    };
    lower::lower(&file, &lower::Input { text: source.text, named, secrets, stage, beside: source.beside }, problems)
}

/// The overlays, taken out of the tree: everything in `[stages.NAME]` has the shape of the file itself.
fn take_stages(root: &mut Node, problems: &mut Problems) -> Vec<Stage> {
    let Some(entry) = root.take("stages") else { return Vec::new() };
    let Value::Table(stages) = entry.node.value else {
        problems.push(
            Problem::error("`stages` is a table of tables")
                .at(entry.node.span)
                .help("each stage is a table of its own: `[stages.staging]`"),
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Some(first) = stages.get(MOST_STAGES) {
        problems.push(
            Problem::error(format!("a file has at most {MOST_STAGES} stages, this one has {}", stages.len()))
                .at(first.key_span.clone())
                .help("stages that come and go can be files of their own, with `--file`"),
        );
    }
    for mut stage in stages.into_iter().take(MOST_STAGES) {
        let named = ProjectName::parse(&stage.key).is_some();
        if !named {
            problems.push(
                Problem::error(format!("`{}` cannot be the name of a stage", stage.key))
                    .at(stage.key_span.clone())
                    .label(format!("allowed: {}", ProjectName::RULE)),
            );
        }
        if let Some(name) = stage.node.take("name") {
            problems.push(
                Problem::error("a stage cannot rename the stack")
                    .at(name.key_span)
                    .help("its project is called `<name>-<stage>` by itself"),
            );
        }
        if let Value::Table(_) = stage.node.value {
            if named {
                out.push((stage.key, stage.node));
            }
        } else {
            problems.push(Problem::error("a stage is a table").at(stage.node.span));
        }
    }
    out
}

/// For stages nobody asked for: variables that are not set are no problem today.
fn all_set(root: &Node, overlay: &Node, variables: &Variables) -> Variables {
    fn collect(node: &Node, out: &mut Variables) {
        match &node.value {
            Value::Text(parts) => {
                for part in parts {
                    if let tree::Part::Reference(name) = part {
                        let name = name.split(":-").next().unwrap_or(name);
                        out.entry(name.to_owned()).or_insert_with(|| "x".to_owned());
                    }
                }
            }
            Value::List(items) => items.iter().for_each(|n| collect(n, out)),
            Value::Table(entries) => entries.iter().for_each(|e| collect(&e.node, out)),
            _ => {}
        }
    }
    let mut out = variables.clone();
    collect(root, &mut out);
    collect(overlay, &mut out);
    out
}
