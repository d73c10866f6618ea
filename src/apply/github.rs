//! A deploy as a deployment of a GitHub repository: made when it begins, with its end as a status (REST API,
//! "Deployments" and "Deployment statuses"; github.com and GitHub Enterprise Server).

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::acme::http;
use crate::base::secret::Secret;
use crate::model::notify::{Github, Told};
use crate::model::proxy::Proxy;
use crate::model::state::State;

use super::prepare::Prepared;
use super::wanted::Wanted;

/// Longest time for an answer: somebody waits for the prompt.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most characters of a description (REST API, "Create a deployment status").
const DESCRIPTION: usize = 140;

/// Earlier deployments that are looked through for the one that this one takes the place of.
const EARLIER: u8 = 20;

/// A deployment that is being made while the deploy goes on.
pub(super) struct Begun(JoinHandle<Result<(Api, u64), String>>);

/// Says that a deploy begins, beside it: nothing waits for that. `None` where nobody wants to know.
pub(super) fn begin(wanted: &Wanted, prepared: &Prepared, changes: &[String]) -> Option<Begun> {
    let github = wanted.stack.notify.github.as_ref()?;
    let token = github.token.fill(&prepared.values);
    // An optional secret that has no value.
    if token.expose().is_empty() {
        return None;
    }
    let api = Api {
        github: github.clone(),
        token,
        site: wanted.stack.proxy.as_ref().map(site),
        project: wanted.stack.project.to_string(),
        release: prepared.plan.release,
        before: prepared.observed.state.as_ref().and_then(State::current).map(|r| r.number),
    };
    let commit = wanted.commit.clone();
    let payload = json!({
        "project": wanted.stack.project, "stage": wanted.stack.stage, "release": prepared.plan.release,
        "back_to": wanted.past.as_ref().map(|p| p.number), "by": wanted.by, "changes": changes,
    });
    Some(Begun(tokio::spawn(async move {
        // A checkout with changes of its own is of the commit that it has.
        let commit = commit.as_deref().map(|c| c.trim_end_matches("-dirty").to_owned());
        let commit = commit.ok_or("the folder is no Git checkout, and a deployment is one of a commit")?;
        let id = api.create(&commit, &payload).await?;
        api.status(id, "in_progress", "").await?;
        Ok((api, id))
    })))
}

/// Says how it ended; what went wrong with that, in a sentence.
pub(super) async fn end(begun: Begun, told: &Told, line: u32) -> Option<String> {
    let said = async {
        let (api, id) = begun.0.await.map_err(|error| error.to_string())??;
        let text = told.text();
        if told.result == "failed" {
            return api.status(id, "failure", &text).await;
        }
        api.status(id, "success", &text).await?;
        // GitHub does this by itself, but not in an environment called `production`.
        match api.replaced(id).await? {
            Some(earlier) => api.status(earlier, "inactive", &format!("release {} took its place", api.release)).await,
            None => Ok(()),
        }
    };
    said.await.err().map(|why| format!("GitHub (line {line}) does not know how this deploy ended: {why}"))
}

/// Where visitors find the site.
fn site(proxy: &Proxy) -> String {
    let (scheme, port, usual) =
        if proxy.https() { ("https", proxy.https_port, 443) } else { ("http", proxy.http_port, 80) };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    format!("{scheme}://{}{port}/", proxy.canonical())
}

/// Whom to ask, and about what.
struct Api {
    github: Github,
    token: Secret,
    site: Option<String>,
    project: String,
    release: u32,
    /// The release that served before.
    before: Option<u32>,
}

impl Api {
    async fn create(&self, commit: &str, payload: &Value) -> Result<u64, String> {
        let environment = &self.github.environment;
        let body = json!({
            "ref": commit,
            "task": "deploy",
            // What is deployed is what lies here, whatever GitHub thinks of the commit's checks.
            "auto_merge": false,
            "required_contexts": [],
            "environment": environment,
            "production_environment": environment == "production",
            "description": short(&format!("{}: release {}", self.project, self.release)),
            "payload": payload,
        });
        let made = self.ask(Some(&body), "").await?;
        made["id"].as_u64().ok_or_else(|| "it did not say which deployment it made".to_owned())
    }

    async fn status(&self, id: u64, state: &str, text: &str) -> Result<(), String> {
        let mut body = json!({
            "state": state,
            "environment": self.github.environment,
            "description": short(text),
            "auto_inactive": true,
        });
        for (key, value) in [("environment_url", &self.site), ("log_url", &self.github.log_url)] {
            if let Some(value) = value {
                body[key] = value.as_str().into();
            }
        }
        self.ask(Some(&body), &format!("/{id}/statuses")).await.map(drop)
    }

    /// The deployment of the release that served before.
    async fn replaced(&self, ours: u64) -> Result<Option<u64>, String> {
        let Some(before) = self.before else { return Ok(None) };
        let query = format!("?task=deploy&per_page={EARLIER}&environment={}", encoded(&self.github.environment));
        let list = self.ask(None, &query).await?;
        let is_it = |deployment: &&Value| {
            // A payload comes back as it was sent, or as text.
            let payload = match &deployment["payload"] {
                Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                other => other.clone(),
            };
            payload["project"] == self.project.as_str() && payload["release"] == before
        };
        let found = list.as_array().into_iter().flatten().find(is_it).and_then(|found| found["id"].as_u64());
        Ok(found.filter(|id| *id != ours))
    }

    /// One request: with a body by POST, else GET. What the client says of a URL is not repeated.
    async fn ask(&self, body: Option<&Value>, path: &str) -> Result<Value, String> {
        let Github { api, repository, .. } = &self.github;
        let url = format!("{}/repos/{repository}/deployments{path}", api.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url).map_err(|_| "`api` is no URL".to_owned())?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .map_err(|_| "the token has characters that no token has".to_owned())?;
        bearer.set_sensitive(true);
        let client = http::web(None, false)?;
        let request = match body {
            Some(body) => client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => client.get(url),
        };
        let request = request
            .timeout(PATIENCE)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(USER_AGENT, concat!("stackctl/", env!("CARGO_PKG_VERSION")));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Err(format!("no answer in {} s", PATIENCE.as_secs())),
            Err(error) if error.is_connect() => return Err("no connection".to_owned()),
            Err(error) => return Err(error.without_url().to_string()),
        };
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.without_url().to_string())?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(said);
        }
        let words = said["message"].as_str().map(|m| format!(": {}", short(m))).unwrap_or_default();
        let advice = match status.as_u16() {
            401 => " (the token is not valid)",
            403 | 404 => " (may the token write deployments of this repository?)",
            422 => " (has the commit been pushed?)",
            _ => "",
        };
        Err(format!("it answered {}{words}{advice}", status.as_u16()))
    }
}

/// One line that a description has room for.
fn short(text: &str) -> String {
    let line = text.lines().collect::<Vec<_>>().join(" · ");
    if line.chars().count() <= DESCRIPTION {
        return line;
    }
    let cut: String = line.chars().take(DESCRIPTION - 1).collect();
    format!("{cut}…")
}

/// A value in a query (RFC 3986: all but unreserved characters encoded).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_have_room() {
        assert_eq!(short("shop: release 3 is out\n• app: image new"), "shop: release 3 is out · • app: image new");
        let long = short(&"ä".repeat(500));
        assert_eq!((long.chars().count(), long.ends_with('…')), (DESCRIPTION, true));
    }

    #[test]
    fn values_of_a_query_are_encoded() {
        assert_eq!(encoded("pr-7_x.y~z"), "pr-7_x.y~z");
        assert_eq!(encoded("a b&c/ä"), "a%20b%26c%2F%C3%A4");
    }
}
