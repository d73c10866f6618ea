//! Which failure may be behind another: what is mended first, since the rest may go with it.

use super::CATALOGUE;

/// A check or family, and those whose failure explains its own. The first that matches counts.
const BEHIND: &[(&str, &[&str])] = &[
    ("HLT-3", &[]),
    ("HLT-4", &["HLT-3"]),
    ("HLT-1", &["HLT-3", "HLT-4"]),
    ("HLT-5", &["HLT-3"]),
    ("HLT-6", &["HLT-3", "HLT-1"]),
    // Another certificate than the configured one is shown: what is wrong with it follows.
    ("TLS-12", &["HLT-3"]),
    ("TLS-3", &["HLT-3", "TLS-1"]),
    ("TLS", &["HLT-3", "TLS-12"]),
    ("HDR-6", &["HLT-3", "HLT-1"]),
    ("HDR-8", &["HLT-3", "HLT-1"]),
    ("HDR", &["HLT-3", "HLT-1", "HDR-6"]),
    ("HSTS", &["HLT-3", "HLT-1", "HDR-6"]),
    ("WS-2", &["HLT-3", "HLT-1", "WS-1"]),
    ("NET-2", &["NET-1"]),
    ("NET-3", &["NET-1"]),
    ("CTR-3", &["CTR-2"]),
    ("DB", &["HLT-3", "HLT-4"]),
    ("LOG-2", &["HLT-3", "HLT-1"]),
    ("MON-3", &["HLT-3"]),
    ("MON", &["HLT-3", "MON-3"]),
    ("RL-1", &["HLT-3", "HLT-1"]),
    ("RL", &["HLT-3", "HLT-1", "RL-1"]),
    ("OWN-2", &["HLT-3", "HLT-4"]),
    ("OWN", &["HLT-3", "HLT-4", "HLT-1", "MON-3", "MON-1"]),
    ("RED", &["HLT-3", "HLT-1"]),
    ("NET-5", &["HLT-3", "HLT-1"]),
    ("WS", &["HLT-3", "HLT-1"]),
    ("CORS", &["HLT-3", "HLT-1"]),
    ("BODY", &["HLT-3", "HLT-1"]),
    ("CMP", &["HLT-3", "HLT-1"]),
    ("CCH", &["HLT-3", "HLT-1", "HDR-8"]),
    ("H2", &["HLT-3", "HLT-1", "TLS-13"]),
    ("PERF", &["HLT-3", "HLT-1"]),
];

/// Says that something is different, and not what: any other failure explains it better.
const LAST: &str = "DRF-1";

/// Whether the failure of one check may be a consequence of the other's.
pub fn follows(id: &str, other: &str) -> bool {
    if id == LAST {
        return other != LAST;
    }
    let called = |id: &str, name: &str| CATALOGUE.iter().any(|check| check.id == id && check.is_called(name));
    let behind = BEHIND.iter().find(|(name, _)| called(id, name)).map_or(&[][..], |(_, behind)| behind);
    id != other && behind.contains(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_check_or_a_family() {
        for (name, behind) in BEHIND {
            for name in std::iter::once(name).chain(*behind) {
                assert!(CATALOGUE.iter().any(|check| check.is_called(name)), "{name}");
            }
        }
    }

    #[test]
    fn nothing_follows_from_its_own_consequence() {
        for check in CATALOGUE {
            let mut reached: Vec<&str> = vec![check.id];
            let mut at = 0;
            while let Some(id) = reached.get(at).copied() {
                for other in CATALOGUE.iter().filter(|other| follows(id, other.id)) {
                    assert_ne!(other.id, check.id, "{} follows from itself through {id}", check.id);
                    if !reached.contains(&other.id) {
                        reached.push(other.id);
                    }
                }
                at += 1;
            }
        }
    }

    #[test]
    fn a_family_gives_way_to_a_check_of_it() {
        assert!(follows("TLS-7", "TLS-12") && !follows("TLS-12", "TLS-7"));
        assert!(follows("DB-2", "HLT-3") && follows("DRF-1", "HLT-3") && !follows("HLT-3", "DRF-1"));
        assert!(!follows("ATT-1", "HLT-3") && !follows("HLT-1", "HLT-1"));
    }
}
