//! A credential of a database that is replaced while it is used: a new one beside the old, its users moved over, the
//! old one taken away. What is kept of it says at every moment how to go on, so that it can be ended anywhere.

use crate::base::name::SecretName;
use crate::base::secret::Secret;

use super::secrets::SecretValues;

/// What is kept of a rotation, by the name of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What users log in with.
    pub now: Credential,
    /// The password that is to be.
    pub next: Option<Secret>,
    /// What users logged in with before, as long as it may still let somebody in.
    pub before: Option<Credential>,
}

/// In place of a role that nobody has: the old password is refused from now on, and not yet forgotten.
pub const GONE: &str = "-";

/// Who logs in, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Name of the role; empty where there are none.
    pub login: String,
    /// Its password.
    pub password: Secret,
}

/// A step of a rotation. Each can be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new password is drawn and kept.
    Draw,
    /// The server lets the new one in, beside the old, and shows that it does.
    Admit,
    /// It becomes what users log in with; kept in one write.
    Adopt,
    /// The users are replaced, by a release that changes nothing else.
    Roll,
    /// The server refuses the old one, and shows that it does.
    Revoke,
    /// That there was one is forgotten.
    Forget,
}

/// What is left to do.
pub fn steps(kept: &Kept) -> &'static [Step] {
    use Step::{Admit, Adopt, Draw, Forget, Revoke, Roll};
    match kept {
        Kept { next: Some(_), .. } => &[Admit, Adopt, Roll, Revoke, Forget],
        Kept { before: Some(_), .. } => &[Roll, Revoke, Forget],
        _ => &[Draw, Admit, Adopt, Roll, Revoke, Forget],
    }
}

/// Names under which it is kept, beside that of the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The role that logs in.
    pub login: SecretName,
    /// The password the database was made with.
    pub first: SecretName,
    /// See [`Kept::next`].
    pub next: SecretName,
    /// See [`Kept::before`].
    pub before: SecretName,
    /// Its role.
    pub login_before: SecretName,
}

impl Names {
    /// Of a password; `None` if its name is so long that theirs would be no names.
    pub fn of(password: &SecretName) -> Option<Self> {
        let name = |end: &str| SecretName::parse(&format!("{password}.{end}"));
        Some(Self {
            login: name("login")?,
            first: name("first")?,
            next: name("next")?,
            before: name("before")?,
            login_before: name("login-before")?,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&SecretName; 5] {
        [&self.login, &self.first, &self.next, &self.before, &self.login_before]
    }
}

impl Kept {
    /// From what the engine keeps; `first` is the role where none is kept. `None` before there is a password.
    pub fn of(password: &SecretName, names: &Names, first: &str, values: &SecretValues) -> Option<Self> {
        let text = |name: &SecretName| values.get(name).filter(|v| !v.expose().is_empty());
        let login = |name: &SecretName| text(name).map_or_else(|| first.to_owned(), |v| v.expose().to_owned());
        let before = text(&names.before).cloned();
        Some(Self {
            now: Credential { login: login(&names.login), password: text(password)?.clone() },
            next: text(&names.next).cloned(),
            before: before.map(|password| Credential { login: login(&names.login_before), password }),
        })
    }

    /// What is to be taken away: also where a run was ended while it kept the new one.
    pub fn leaving(&self) -> &Credential {
        self.before.as_ref().unwrap_or(&self.now)
    }

    /// What the server has to let in.
    pub fn admitted(&self) -> Vec<&Secret> {
        let before = self.before.as_ref().filter(|b| b.login != GONE);
        let others = self.next.iter().chain(before.map(|b| &b.password));
        let mut out: Vec<&Secret> = std::iter::once(&self.now.password).chain(others).collect();
        out.sort_by(|a, b| a.expose().cmp(b.expose()));
        out.dedup();
        out
    }
}

/// The role that logs in next: two take turns, so that the one in use keeps its password.
pub fn other<'a>(owner: &'a str, second: &'a str, now: &str) -> &'a str {
    if now == owner { second } else { owner }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A server, what is kept, and what the users have.
    #[derive(Clone)]
    struct World {
        admits: BTreeSet<(String, String)>,
        kept: SecretValues,
        users: BTreeSet<(String, String)>,
        drawn: u32,
    }

    type Effect = Box<dyn Fn(&mut World)>;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    impl World {
        fn new() -> Self {
            let start = ("app".to_owned(), "p0".to_owned());
            let kept = SecretValues::from([(name("db.password"), Secret::new("p0"))]);
            Self { admits: BTreeSet::from([start.clone()]), kept, users: BTreeSet::from([start]), drawn: 0 }
        }

        fn kept(&self) -> Kept {
            let password = name("db.password");
            Kept::of(&password, &Names::of(&password).unwrap(), "app", &self.kept).unwrap()
        }

        /// Effects of a step one by one: a run can end between any two.
        fn effects(&self, step: Step) -> Vec<Effect> {
            let password = name("db.password");
            let names = Names::of(&password).unwrap();
            let kept = self.kept();
            let put = |name: SecretName, value: String| -> Effect {
                Box::new(move |w| drop(w.kept.insert(name.clone(), Secret::new(value.clone()))))
            };
            match step {
                Step::Draw => vec![Box::new(|w| w.drawn += 1), put(names.next, format!("p{}", self.drawn + 1))],
                Step::Admit => {
                    let login = other("app", "app_b", &kept.leaving().login).to_owned();
                    let next = kept.next.unwrap().expose().to_owned();
                    vec![Box::new(move |w| {
                        w.admits.retain(|(l, _)| *l != login);
                        w.admits.insert((login.clone(), next.clone()));
                    })]
                }
                // The order in which the files of that one write are in it.
                Step::Adopt => {
                    let before = kept.leaving().clone();
                    let login = other("app", "app_b", &before.login).to_owned();
                    vec![
                        put(names.login_before, before.login.clone()),
                        put(names.before, before.password.expose().to_owned()),
                        put(names.login, login),
                        put(password, kept.next.unwrap().expose().to_owned()),
                        put(names.next, String::new()),
                    ]
                }
                Step::Roll => {
                    let now = (kept.now.login, kept.now.password.expose().to_owned());
                    let both = now.clone();
                    vec![
                        Box::new(move |w| {
                            w.users.insert(both.clone());
                        }),
                        Box::new(move |w| {
                            w.users = BTreeSet::from([now.clone()]);
                        }),
                    ]
                }
                Step::Revoke => {
                    let before = kept.before.unwrap();
                    vec![Box::new(move |w| {
                        w.admits.retain(|(l, _)| *l != before.login);
                    })]
                }
                Step::Forget => vec![put(names.before, String::new()), put(names.login_before, String::new())],
            }
        }

        /// Runs until it is through, or ended after so many effects; how many there were.
        fn run(&mut self, most: usize) -> usize {
            let mut done = 0;
            for step in steps(&self.kept()) {
                for effect in self.effects(*step) {
                    if done == most {
                        return done;
                    }
                    effect(self);
                    done += 1;
                    assert!(self.users.is_subset(&self.admits), "{step:?}: {:?} of {:?}", self.users, self.admits);
                }
            }
            done
        }
    }

    #[test]
    fn ended_anywhere_it_goes_on_and_nobody_is_locked_out() {
        let all = World::new().run(usize::MAX);
        assert!(all > 10);
        for first in 0..all {
            for second in 0..all {
                let mut world = World::new();
                world.run(first);
                world.run(second);
                world.run(usize::MAX);
                // What was ended before anything was kept starts anew.
                if world.kept().now.password.expose() == "p0" {
                    world.run(usize::MAX);
                }
                let kept = world.kept();
                assert_eq!((&kept.next, &kept.before), (&None, &None), "ended after {first} and {second}");
                let now = (kept.now.login, kept.now.password.expose().to_owned());
                assert_ne!(now.1, "p0");
                assert_eq!(world.admits, BTreeSet::from([now.clone()]), "only the new one is let in");
                assert_eq!(world.users, BTreeSet::from([now]));
            }
        }
    }

    #[test]
    fn two_roles_take_turns() {
        let mut world = World::new();
        for (turn, login) in [(1, "app_b"), (2, "app"), (3, "app_b")] {
            world.run(usize::MAX);
            let kept = world.kept();
            assert_eq!((kept.now.login.as_str(), kept.now.password.expose()), (login, format!("p{turn}").as_str()));
        }
    }
}
