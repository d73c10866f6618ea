//! Whether pages travel compressed, and who may keep them.

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::Request;
use super::super::net::http::Response;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const CMP_1: Check = Check {
    id: "CMP-1",
    family: Family::Traffic,
    title: "compression",
    question: "Is a page of more than 1 KiB of text compressed for those who ask for gzip? Every route is asked.",
    pass: "Content-Encoding gzip (or br, zstd), a body that is gzip, and Vary: Accept-Encoding",
    source: "nginx gzip; web.dev text compression",
    severity: Severity::Low,
    remedy: "name the type in `gzip_types`, or let the app compress",
};

pub(in crate::probe) const CCH_1: Check = Check {
    id: "CCH-1",
    family: Family::Traffic,
    title: "private pages not cached for all",
    question: "May a cache between here and the visitor keep an answer that sets a cookie, and hand it to somebody \
               else? Every route is asked.",
    pass: "no `public` or `s-maxage` in Cache-Control of an answer with Set-Cookie",
    source: "RFC 9111 §3, §7.3",
    severity: Severity::High,
    remedy: "send `Cache-Control: private` or `no-store` with pages that know who asks",
};

/// Smaller answers are not worth it (`gzip_min_length`, as rendered).
const WORTH: usize = 1024;

/// So many routes are asked.
const ROUTES: usize = 12;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&CMP_1, &CCH_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let mut compressed = Vec::new();
    let mut cached = Vec::new();
    for route in proxy.routes.iter().filter(|r| !r.websocket).take(ROUTES) {
        let (plain, packed) = (plain(context, proxy, &route.path).await, packed(context, proxy, &route.path).await);
        let path = route.path.as_str();
        match (plain, packed) {
            (Ok(plain), Ok(packed)) => {
                compressed.push((path, packing(&plain, &packed)));
                cached.push((path, caching(&plain)));
            }
            (Err(why), _) | (_, Err(why)) => {
                compressed.push((path, Unsure(why.clone())));
                cached.push((path, Unsure(why)));
            }
        }
    }
    let none = || Skip("there are only routes for WebSockets".to_owned());
    let url = context.url(proxy, "/");
    vec![
        CMP_1.about(&url).line(proxy.line).judged(Judged::worst(compressed).unwrap_or_else(none)),
        CCH_1.about(&url).line(proxy.line).judged(Judged::worst(cached).unwrap_or_else(none)),
    ]
}

async fn plain(context: &Context<'_>, proxy: &Proxy, path: &str) -> Result<Response, String> {
    let door = context.front(proxy).map_err(|e| e.to_string())?;
    context.page(&door, path).await.map_err(|e| e.to_string())
}

async fn packed(context: &Context<'_>, proxy: &Proxy, path: &str) -> Result<Response, String> {
    let door = context.front(proxy).map_err(|e| e.to_string())?;
    context.ask(&door, &Request::with(path, &[("Accept-Encoding", "gzip")])).await.map_err(|e| e.to_string())
}

fn packing(plain: &Response, packed: &Response) -> Judged {
    let kind = plain.header("content-type").unwrap_or("").to_ascii_lowercase();
    let text = ["text/", "json", "javascript", "xml"].iter().any(|word| kind.contains(word));
    if !text || plain.body.len() < WORTH || !(200..300).contains(&packed.status) {
        return Skip("no page of more than 1 KiB of text was found".to_owned());
    }
    let sizes = format!("{} bytes instead of {}", packed.body.len(), plain.body.len());
    match packed.header("content-encoding").map(str::to_ascii_lowercase).as_deref() {
        Some("gzip") if !packed.body.starts_with(&[0x1f, 0x8b]) => Fail("said to be gzip, and is not".to_owned()),
        Some("gzip" | "br" | "zstd") if vary(packed) => Pass(sizes),
        Some("gzip" | "br" | "zstd") => Warn(format!("{sizes}, but no Vary: a cache gives it to all")),
        Some(other) => Warn(format!("encoding `{other}`")),
        None => Warn(format!("{} bytes of {kind} are sent as they are", plain.body.len())),
    }
}

fn vary(response: &Response) -> bool {
    response.all("vary").any(|value| {
        value.split(',').any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("accept-encoding"))
    })
}

fn caching(response: &Response) -> Judged {
    let control = response.all("cache-control").collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    let shared = control.split(',').map(str::trim).any(|word| word == "public" || word.starts_with("s-maxage"));
    match (response.header("set-cookie").is_some(), shared) {
        (true, true) => Fail(format!("a cookie is set, and `{control}` lets every cache keep it")),
        (true, false) => Pass("answers with cookies are not for all".to_owned()),
        (false, _) => Skip("no route sets a cookie when it is asked once".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Response { status: 200, headers, body: body.to_vec(), elapsed: std::time::Duration::ZERO }
    }

    #[test]
    fn packed_pages() {
        let text = vec![b'a'; 2048];
        let plain = response(&[("content-type", "text/html")], &text);
        let gzip = [0x1f, 0x8b, 8, 0];
        let encoded = ("content-encoding", "gzip");
        let vary = ("vary", "Origin, Accept-Encoding");
        assert!(matches!(packing(&plain, &response(&[encoded, vary], &gzip)), Pass(_)));
        assert!(matches!(packing(&plain, &response(&[encoded], &gzip)), Warn(_)));
        assert!(matches!(packing(&plain, &response(&[encoded, vary], b"aaaa")), Fail(_)));
        assert!(matches!(packing(&plain, &plain), Warn(_)));
        let image = response(&[("content-type", "image/png")], &text);
        assert!(matches!(packing(&image, &image), Skip(_)));
        let small = response(&[("content-type", "text/html")], b"a");
        assert!(matches!(packing(&small, &small), Skip(_)));
    }

    #[test]
    fn a_session_for_everybody() {
        let cookie = ("set-cookie", "session=1");
        assert!(matches!(caching(&response(&[cookie, ("cache-control", "public, max-age=60")], b"")), Fail(_)));
        assert!(matches!(caching(&response(&[cookie, ("cache-control", "s-maxage=60")], b"")), Fail(_)));
        assert!(matches!(caching(&response(&[cookie, ("cache-control", "private")], b"")), Pass(_)));
        assert!(matches!(caching(&response(&[("cache-control", "public")], b"")), Skip(_)));
    }
}
