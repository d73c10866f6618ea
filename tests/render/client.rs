//! Asks a container over HTTP, as curl does.

use std::process::Command;

use crate::docker::Container;

/// An answer: status, headers in lower case, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Asks `url` of the container, whatever its host name says; `Err` with curl's code if there is no answer.
pub(crate) fn ask(container: &Container, url: &str, arguments: &[&str]) -> Result<Answer, i32> {
    let to = format!("::{}:", container.address());
    let output = Command::new("curl")
        .args(["-sk", "-i", "--max-time", "5", "--connect-to", &to])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Err(output.status.code().unwrap_or(-1)) };
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

pub(crate) fn get(container: &Container, url: &str) -> Answer {
    ask(container, url, &[]).unwrap_or_else(|code| panic!("{url}: curl {code}\n{}", container.logs()))
}

/// The statuses of as many requests as fast as one connection carries them: one client per request may be slower than
/// the limit that it is to run into.
pub(crate) fn statuses(container: &Container, url: &str, count: usize) -> Vec<u16> {
    let to = format!("::{}:", container.address());
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "5", "--connect-to", &to, "-o", "/dev/null", "-w", "%{http_code}\n"])
        .arg(format!("{url}?[1-{count}]"))
        .output()
        .expect("curl runs");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().unwrap_or(0)).collect()
}
