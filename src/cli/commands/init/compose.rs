//! A glance into a compose file: names, images, ports and commands of its services. Not a YAML parser: what is written
//! in another style than nearly everybody's is not seen, and then asked for.

/// A service of a compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli::commands) struct Service {
    pub(in crate::cli::commands) name: String,
    pub(in crate::cli::commands) image: Option<String>,
    pub(in crate::cli::commands) build: Option<String>,
    /// Inside the container.
    pub(in crate::cli::commands) port: Option<u16>,
    pub(in crate::cli::commands) command: Option<Vec<String>>,
    /// Line of the file, from 1.
    pub(in crate::cli::commands) line: u32,
    /// It has a profile: Compose starts it only for those who ask.
    pub(in crate::cli::commands) optional: bool,
}

impl Service {
    /// What the file of ours has a preset or a place of its own for, with the image's tag.
    pub(in crate::cli::commands) fn database(&self) -> Option<(&'static str, String)> {
        let image = self.image.as_deref()?.rsplit('/').next()?.split('@').next()?;
        let (name, tag) = image.split_once(':').unwrap_or((image, ""));
        let known = [
            "postgres",
            "redis",
            "nginx",
            "traefik",
            "caddy",
            "prometheus",
            "alertmanager",
            "grafana",
            "pgadmin4",
            "qdrant",
        ];
        known.into_iter().find(|k| *k == name).map(|name| (name, tag.to_owned()))
    }
}

/// Reads them.
pub(in crate::cli::commands) fn services(text: &str) -> Vec<Service> {
    let mut out: Vec<Service> = Vec::new();
    let (mut inside, mut depth, mut key) = (false, None, String::new());
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.split(" #").next().unwrap_or(line).trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if indent == 0 {
            inside = content == "services:";
            continue;
        }
        if !inside {
            continue;
        }
        let depth = *depth.get_or_insert(indent);
        if indent == depth {
            let name = content.trim_end_matches(':').trim_matches(['"', '\'']).to_owned();
            out.push(Service { name, line: number, ..Service::default() });
            continue;
        }
        let Some(service) = out.last_mut() else { continue };
        if let Some(item) = content.strip_prefix('-') {
            if key == "ports" {
                service.port = service.port.or_else(|| port(item));
            } else if key == "command" {
                service.command.get_or_insert_default().push(bare(item).to_owned());
            }
            continue;
        }
        let Some((name, value)) = content.split_once(':') else { continue };
        let value = bare(value);
        match name {
            "profiles" => service.optional = true,
            "image" => service.image = Some(value.to_owned()).filter(|v| !v.contains('$')),
            "build" => service.build = Some(if value.is_empty() { "." } else { value }.to_owned()),
            "context" if key == "build" => service.build = Some(value.to_owned()),
            "ports" if value.starts_with('[') => {
                let first = value.trim_matches(['[', ']']).split(',').next();
                service.port = service.port.or_else(|| port(first?));
            }
            "command" if !value.is_empty() && !value.contains(['$', '|', '>', '&', ';']) => {
                service.command = Some(words(&value.replace(['[', ']', ',', '"', '\''], " ")));
            }
            _ => {}
        }
        name.clone_into(&mut key);
    }
    out
}

/// A command line that no shell has to read, cut at blanks.
pub(in crate::cli::commands) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// `"127.0.0.1:8080:80/tcp"` is port 80.
fn port(item: &str) -> Option<u16> {
    bare(item).rsplit(':').next()?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_guides_print_it() {
        let text = "version: '3.8'\n\nservices:\n  db:\n    image: postgres:13\n    ports:\n      - \"5432:5432\"\n\n  \
            app:   # the web\n    build:\n      context: ./backend\n    ports:\n      - \"80:8000\"\n    depends_on:\n      - db\n\n  \
            worker:\n    build: ./backend\n    command: celery -A tasks worker\n\nvolumes:\n  data:\n";
        let found = services(text);
        let names: Vec<&str> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["db", "app", "worker"]);
        assert_eq!(found.iter().map(|s| s.line).collect::<Vec<_>>(), [4, 9, 17]);
        assert_eq!(found[0].database(), Some(("postgres", "13".to_owned())));
        assert_eq!((found[1].build.as_deref(), found[1].port), (Some("./backend"), Some(8000)));
        assert_eq!(found[2].command, Some(words("celery -A tasks worker")));
    }
}
