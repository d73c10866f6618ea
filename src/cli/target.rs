//! Containers as users name them: by service and number.

use crate::base::suggest::nearest;
use crate::model::container::label;
use crate::model::observed::ObservedContainer;
use crate::ui::error::Failure;

/// Containers that are replicas of services.
pub fn replicas(containers: &[ObservedContainer]) -> impl Iterator<Item = &ObservedContainer> {
    containers.iter().filter(|c| c.label(label::ROLE) == "service")
}

/// `app-1`
pub fn short_name(container: &ObservedContainer) -> String {
    format!("{}-{}", container.service(), container.number())
}

/// Replicas of the named services, all if none is named; each name must be one that is there.
pub fn chosen<'a>(
    containers: &'a [ObservedContainer],
    services: &[String],
) -> Result<Vec<&'a ObservedContainer>, Failure> {
    for wanted in services {
        if !replicas(containers).any(|c| c.service() == wanted) {
            return Err(no_such(containers, wanted));
        }
    }
    let mut out: Vec<_> =
        replicas(containers).filter(|c| services.is_empty() || services.iter().any(|s| s == c.service())).collect();
    out.sort_by_key(|c| (c.service(), c.number(), c.name.as_str()));
    Ok(out)
}

/// One running replica of a service: the one with this number, or the first.
pub fn one<'a>(
    containers: &'a [ObservedContainer],
    service: &str,
    index: Option<u32>,
) -> Result<&'a ObservedContainer, Failure> {
    let all = chosen(containers, &[service.to_owned()])?;
    let found = all.iter().find(|c| c.running() && index.is_none_or(|i| c.number() == i));
    found.copied().ok_or_else(|| {
        let which = index.map_or_else(String::new, |i| format!(" with the number {i}"));
        Failure::failed(format!("no container of `{service}`{which} runs"))
            .hint("`stackctl status` shows what runs, `stackctl up` brings it up")
    })
}

fn no_such(containers: &[ObservedContainer], wanted: &str) -> Failure {
    let failure = Failure::failed(format!("no container of a service `{wanted}` is there"));
    match nearest(wanted, replicas(containers).map(ObservedContainer::service)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`stackctl status` shows what is there, `stackctl up` brings it up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(service: &str, number: &str, state: &str) -> ObservedContainer {
        let labels = [(label::ROLE, "service"), (label::SERVICE, service), (label::COMPOSE_NUMBER, number)];
        ObservedContainer {
            name: format!("p-{service}-{number}"),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            state: state.to_owned(),
            ..ObservedContainer::default()
        }
    }

    #[test]
    fn the_first_that_runs_or_the_one_asked_for() {
        let all =
            [container("app", "1", "exited"), container("app", "2", "running"), container("app", "10", "running")];
        let name = |index| one(&all, "app", index).map(|c| c.name.clone()).unwrap_or_default();
        assert_eq!((name(None).as_str(), name(Some(10)).as_str(), name(Some(1)).as_str()), ("p-app-2", "p-app-10", ""));
        assert!(chosen(&all, &[]).is_ok_and(|c| c.len() == 3));
        let hints = one(&all, "ap", None).err().map(|f| f.hints).unwrap_or_default();
        assert_eq!(hints, ["did you mean `app`?"]);
    }
}
