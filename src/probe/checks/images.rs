//! What containers run: the image that was meant, pinned, and not too old.

use std::collections::BTreeMap;

use crate::base::date::Date;
use crate::model::finding::Finding;
use crate::model::inspected::Inspected;
use crate::model::observed::ObservedImage;
use crate::model::service::Image;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::certificate::now;
use super::all_are;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

/// Days after which an image has missed the updates of its base: Debian stable has a point release about every two
/// months, and security updates in between.
const OLD: u64 = 180;

pub(in crate::probe) const IMG_1: Check = Check {
    id: "IMG-1",
    family: Family::Images,
    title: "the image that was meant",
    question: "Does each container run the image its reference stands for on the engine now? IDs are compared, so a tag \
               that was moved shows.",
    pass: "the same image ID",
    source: "CIS Docker 1.6 (docker-bench-security 5.28)",
    severity: Severity::High,
    remedy: "run `stackctl up`: it replaces containers of another image",
};

pub(in crate::probe) const IMG_2: Check = Check {
    id: "IMG-2",
    family: Family::Images,
    title: "pinned image",
    question: "Does the reference of each pulled image name a version, or a digest?",
    pass: "a digest, or a tag other than `latest`",
    source: "CIS Docker 1.6 (docker-bench-security 5.28)",
    severity: Severity::Medium,
    remedy: "write a version: `image = \"ghcr.io/acme/app:1.4.2\"`, or a digest: `…@sha256:…`",
};

pub(in crate::probe) const IMG_3: Check = Check {
    id: "IMG-3",
    family: Family::Images,
    title: "age of the image",
    question: "When was the image of each container made?",
    pass: "at most 180 days ago; older ones are a warning",
    source: "stackctl's own figure: Debian stable has a point release about every two months",
    severity: Severity::Low,
    remedy: "build it again with `docker build --pull`, or take a newer tag, and run `stackctl up`",
};

const CHECKS: [&Check; 3] = [&IMG_1, &IMG_2, &IMG_3];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let project = context.stack.project.as_str();
    let (seen, observed) = match (context.containers().await, context.observed) {
        (Ok(seen), Some(observed)) => (seen, observed),
        (Err(why), _) => return all_are(&CHECKS, project, None, &why.into()),
        (_, None) => {
            let why = Skip("not visible from here: it needs the engine".to_owned());
            return all_are(&CHECKS, project, None, &why);
        }
    };
    let today = Date::of_seconds(now());
    let mut services: Vec<&str> = seen.iter().filter(|c| c.number > 0).map(|c| c.service.as_str()).collect();
    services.dedup();
    let mut findings = Vec::new();
    for service in services {
        let question = |check: &'static Check| check.about(service).line(context.line_of(service)).from("engine");
        let own = || seen.iter().filter(|c| c.number > 0 && c.service == service);
        let worst = |judge: &dyn Fn(&Inspected) -> Judged| {
            Judged::worst(own().map(|c| (c.name.as_str(), judge(c)))).unwrap_or_else(|| Skip(String::new()))
        };
        findings.push(question(&IMG_1).judged(worst(&|c| same(c, &observed.images))));
        let declared = context.stack.services.iter().find(|(name, _)| name.as_str() == service);
        let pinned = match declared.map(|(_, s)| &s.image).or(None) {
            Some(Image::Build(_)) => Skip("it is built here; its tag names its content".to_owned()),
            Some(Image::Pull(reference)) => pinned(reference),
            None => {
                context.stack.proxy.as_ref().map_or(Skip("it is not of the stack".to_owned()), |p| pinned(&p.image))
            }
        };
        findings.push(question(&IMG_2).judged(pinned));
        findings.push(question(&IMG_3).judged(worst(&|c| age(c.image_created, today))));
    }
    if findings.is_empty() {
        return all_are(&CHECKS, project, None, &Skip("there is no container".to_owned()));
    }
    findings
}

fn same(container: &Inspected, images: &BTreeMap<String, ObservedImage>) -> Judged {
    match images.get(&container.image) {
        Some(image) if image.id == container.image_id => Pass(format!("{} ({:.19})", container.image, image.id)),
        Some(image) => {
            Fail(format!("{} is {:.19} now, but {:.19} runs", container.image, image.id, container.image_id))
        }
        None if container.image.contains("@sha256:") => Pass(format!("{} by its digest", container.image)),
        None => Unsure(format!("`{}` is not what stack.toml asks for, or is gone from the engine", container.image)),
    }
}

/// A reference without a registry's port counts its tag after the last `/`.
fn pinned(reference: &str) -> Judged {
    if reference.contains("@sha256:") {
        return Pass("by digest".to_owned());
    }
    let name = reference.rsplit('/').next().unwrap_or(reference);
    match name.split_once(':') {
        None => Warn(format!("`{reference}` names no version: it is `latest`")),
        Some((_, "latest")) => Warn(format!("`{reference}` is another image tomorrow")),
        Some((_, tag)) => Pass(format!("tag {tag}")),
    }
}

fn age(created: Option<u64>, today: Date) -> Judged {
    // Builders that make the same image every time put a fixed date into it.
    let Some(created) = created.map(Date::of_seconds).filter(|date| date.seconds() > 0) else {
        return Skip("the image does not say when it was made".to_owned());
    };
    let days = today.days_since(created);
    let seen = format!("made on {created}, {days} days ago");
    if days > OLD { Warn(seen) } else { Pass(seen) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for good in ["nginx:1.30", "host:5000/a/b:1", "app@sha256:00", "app:latest@sha256:00"] {
            assert!(matches!(pinned(good), Pass(_)), "{good}");
        }
        for bad in ["nginx", "nginx:latest", "host:5000/a/b"] {
            assert!(matches!(pinned(bad), Warn(_)), "{bad}");
        }
    }

    #[test]
    fn a_tag_that_was_moved_shows() {
        let container = Inspected { image: "app:1".into(), image_id: "sha256:a".into(), ..Inspected::default() };
        let images = |id: &str| {
            BTreeMap::from([("app:1".to_owned(), ObservedImage { id: id.into(), ..ObservedImage::default() })])
        };
        assert!(matches!(same(&container, &images("sha256:a")), Pass(_)));
        assert!(matches!(same(&container, &images("sha256:b")), Fail(_)));
        assert!(matches!(same(&container, &BTreeMap::new()), Unsure(_)));
    }

    #[test]
    fn ages() {
        let today: Date = "2026-11-20".parse().unwrap();
        let made = |text: &str| Some(text.parse::<Date>().unwrap().seconds());
        assert!(matches!(age(made("2026-05-24"), today), Pass(_)));
        assert!(matches!(age(made("2026-05-23"), today), Warn(_)));
        assert!(matches!(age(Some(0), today), Skip(_)));
        assert!(matches!(age(None, today), Skip(_)));
    }
}
