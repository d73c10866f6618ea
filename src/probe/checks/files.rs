//! Files out of images, which the front door serves itself.

use crate::model::finding::Finding;
use crate::model::proxy::{Folder, Proxy, Route};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::Request;
use super::super::net::http::Response;
use super::super::text;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const FIL_1: Check = Check {
    id: "FIL-1",
    family: Family::Traffic,
    title: "files out of images",
    question: "Does the front door serve the files of a route with `files` as declared? One of them is asked for: the \
               engine knows its name.",
    pass: "200, Cache-Control as `cache` says, a type, gzip for a text of more than 1 KiB, and 304 for those who have it",
    source: "RFC 9110 §13, RFC 9111 §5.2.2, RFC 8246",
    severity: Severity::High,
    remedy: "a CDN or a snippet may set Cache-Control, too: leave it to `cache`; where somebody changed the files by hand, \
             `stackctl down` and `stackctl up` copy them anew",
};

pub(in crate::probe) const FIL_2: Check = Check {
    id: "FIL-2",
    family: Family::Traffic,
    title: "only files out of images",
    question: "Is what is no file answered with 404 below a route with `files`: a name that is not there, one that \
               begins with a dot, the folder itself? And does no cache keep that answer, until a release brings the file?",
    pass: "404 for each, with `Cache-Control: no-store`",
    source: "CWE-548; RFC 9111 §4.2.2 (404 may be kept)",
    severity: Severity::Medium,
    remedy: "look for a snippet or a CDN that answers below this path",
};

/// Smaller answers are not compressed (`gzip_min_length`, as rendered).
const WORTH: usize = 1024;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let project = context.stack.project.as_str();
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&FIL_1, &FIL_2], project, None, NO_PROXY);
    };
    let routes: Vec<(&Route, &Folder)> = proxy.routes.iter().filter_map(|r| Some((r, r.folder()?))).collect();
    if routes.is_empty() {
        return none_apply(&[&FIL_1, &FIL_2], project, Some(proxy.line), "no route has `files`");
    }
    context.awake().await;
    let mut out = Vec::new();
    for (route, folder) in routes {
        let url = context.url(proxy, &route.path);
        out.push(FIL_1.about(&url).line(route.line).judged(served(context, proxy, route, folder).await));
        out.push(FIL_2.about(&url).line(route.line).judged(nothing_else(context, proxy, route).await));
    }
    out
}

async fn served(context: &Context<'_>, proxy: &Proxy, route: &Route, folder: &Folder) -> Judged {
    let Some(observed) = context.observed else {
        return Skip("not visible from here: only the engine knows the name of a file".to_owned());
    };
    let seen = observed.assets.get(&folder.key());
    let Some(slot) = seen.and_then(|seen| seen.slots.get(&seen.current?)) else {
        return Fail(format!("{} of {} was never copied: run `stackctl up`", folder.path, folder.service));
    };
    let Some(sample) = &slot.sample else { return Skip("no file has a plain name to ask for".to_owned()) };
    let path = format!("{}{sample}", route.path);
    let packed = match ask(context, proxy, &path, &[("Accept-Encoding", "gzip")]).await {
        Ok(response) => response,
        Err(why) => return Unsure(why),
    };
    let told = judge(&packed, &path, &folder.cache_control());
    if !matches!(told, Pass(_)) {
        return told;
    }
    let Some(tag) = packed.header("etag").map(str::to_owned) else { return Warn(format!("{path} has no ETag")) };
    match ask(context, proxy, &path, &[("If-None-Match", &tag)]).await {
        Ok(again) if again.status == 304 => told,
        Ok(again) => Warn(format!("{path} is sent again to those who have it ({} for its own ETag)", again.status)),
        Err(why) => Unsure(why),
    }
}

/// Whether an answer is the file as declared; asked for with gzip.
fn judge(response: &Response, path: &str, cache: &str) -> Judged {
    if response.status != 200 {
        return Fail(format!("{path} is answered with {}", response.status));
    }
    let controls: Vec<&str> = response.all("cache-control").collect();
    if controls != [cache] {
        return Fail(format!("{path} has Cache-Control {controls:?} instead of `{cache}`"));
    }
    let kind = response.header("content-type").unwrap_or("");
    if kind.is_empty() {
        return Fail(format!("{path} has no Content-Type"));
    }
    let packed = response.header("content-encoding").is_some();
    let text = ["text/", "javascript", "svg"].iter().any(|word| kind.contains(word));
    if text && !packed && response.body.len() >= WORTH {
        return Warn(format!("{path}: {} bytes of {kind} are sent as they are", response.body.len()));
    }
    let gzip = if packed { ", compressed" } else { "" };
    Pass(format!("{path}: {kind}, `{cache}`{gzip}"))
}

async fn nothing_else(context: &Context<'_>, proxy: &Proxy, route: &Route) -> Judged {
    let mut answers = Vec::new();
    for name in [text::nonce(), ".env".to_owned(), String::new()] {
        let path = format!("{}{name}", route.path);
        let judged = match ask(context, proxy, &path, &[]).await {
            Ok(response) => closed(&response, name.starts_with('.')),
            Err(why) => Unsure(why),
        };
        answers.push((path, judged));
    }
    let worst = Judged::worst(answers.iter().map(|(path, judged)| (path.as_str(), judged.clone())));
    worst.unwrap_or_else(|| Skip("nothing was asked".to_owned()))
}

/// Whether an answer says that there is nothing, and only for now. What the front door closes everywhere is not told apart
/// from what is not there, and never comes to be.
fn closed(response: &Response, always: bool) -> Judged {
    let kept = !response.all("cache-control").any(|value| value.contains("no-store"));
    match response.status {
        404 if always || !kept => Pass("404".to_owned()),
        404 => Warn("404, without `no-store`: a cache may keep it until after a release".to_owned()),
        403 => Pass("403".to_owned()),
        status => Fail(format!("answered with {status}")),
    }
}

async fn ask(context: &Context<'_>, proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> Result<Response, String> {
    let door = context.front(proxy).map_err(|e| e.to_string())?;
    context.ask(&door, &Request::with(path, headers)).await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], size: usize) -> Response {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Response { status, headers, body: vec![b'a'; size], elapsed: std::time::Duration::ZERO }
    }

    #[test]
    fn a_file_as_declared() {
        let (kind, cache) = (("content-type", "text/css"), ("cache-control", "no-cache"));
        let gzip = ("content-encoding", "gzip");
        let verdict = |answer: &Response| judge(answer, "/static/a.css", "no-cache");
        assert!(matches!(verdict(&response(200, &[kind, cache, gzip], 90)), Pass(_)));
        assert!(matches!(verdict(&response(200, &[kind, cache], 90)), Pass(_)), "too small to be compressed");
        for (broken, what) in [
            (response(404, &[kind, cache], 90), "not there"),
            (response(200, &[kind], 90), "not told for how long"),
            (response(200, &[kind, cache, cache], 90), "told twice"),
            (response(200, &[kind, ("cache-control", "public, max-age=1")], 90), "told otherwise"),
            (response(200, &[cache], 90), "without a type"),
        ] {
            assert!(matches!(verdict(&broken), Fail(_)), "{what}");
        }
        assert!(matches!(verdict(&response(200, &[kind, cache], 2000)), Warn(_)));
    }

    #[test]
    fn nothing_is_404_and_not_kept() {
        assert!(matches!(closed(&response(404, &[("cache-control", "no-store")], 9), false), Pass(_)));
        assert!(matches!(closed(&response(404, &[], 9), false), Warn(_)));
        assert!(matches!(closed(&response(404, &[], 9), true), Pass(_)));
        assert!(matches!(closed(&response(200, &[], 9), true), Fail(_)));
    }
}
