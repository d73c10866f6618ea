//! A host that is too small is told before anything is touched.

use std::collections::BTreeMap;

use stackctl::base::units::ByteSize;
use stackctl::config;
use stackctl::model::observed::Host;
use stackctl::plan::capacity::{fits, notes};

#[test]
fn a_host_that_is_too_small() {
    let text =
        "name = \"x\"\n[services.a]\nimage = \"a:1\"\ncpus = 4\n[services.b]\nimage = \"b:1\"\nmemory = \"8G\"\n";
    let stack = config::load(text, None, &BTreeMap::new()).stack.expect("valid");
    let host =
        |cpus, gigabytes: u64| Host { cpus: Some(cpus), memory: Some(ByteSize(gigabytes << 30)), ..Host::default() };
    assert_eq!(fits(&stack, host(4, 8)), Ok(()));
    assert_eq!(fits(&stack, Host::default()), Ok(()));
    let refused = fits(&stack, host(2, 8)).err().map(|e| e.to_string());
    assert_eq!(refused.as_deref(), Some("`a` (line 2) asks for 4 cpus, and the host has 2"));
    assert!(notes(&stack, host(4, 8)).is_empty());
    assert_eq!(notes(&stack, host(4, 4)), ["`b` (line 5) may use 8G of memory, and the host has 4G"]);

    let text =
        "name = \"x\"\n[services.a]\nimage = \"a:1\"\nreplicas = 3\nmemory = \"2G\"\nreserve = { memory = \"1G\" }\n";
    let stack = config::load(text, None, &BTreeMap::new()).stack.expect("valid");
    assert!(notes(&stack, host(4, 3)).is_empty());
    assert_eq!(notes(&stack, host(4, 2)), ["reservations of memory add up to 3G, and the host has 2G"]);

    let text = "name = \"x\"\n[services.a]\nimage = \"a:1\"\nreplicas = 3\nreserve = { cpus = 0.7 }\n\
        [services.b]\nimage = \"b:1\"\nreserve = { cpus = 1.9 }\n";
    let stack = config::load(text, None, &BTreeMap::new()).stack.expect("valid");
    assert!(notes(&stack, host(4, 4)).is_empty());
    assert_eq!(notes(&stack, host(2, 4)), ["reservations of cpus add up to 4, and the host has 2"]);
    assert!(notes(&stack, Host::default()).is_empty());
}
