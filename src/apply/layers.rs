//! How far a pull is, layer by layer, in lines for people.

use std::collections::BTreeMap;

use crate::engine::pull::PullProgress;

/// A pull's layers.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: BTreeMap<String, Layer>,
    said: String,
}

#[derive(Debug, Default)]
struct Layer {
    current: u64,
    total: u64,
    done: bool,
}

impl Layers {
    /// Takes news in: `mark` hears of a layer that is there, `tell` how far all of them are.
    pub(super) fn hear(&mut self, news: PullProgress, tell: &dyn Fn(String), mark: &dyn Fn(String)) {
        let PullProgress { layer, status, current, total } = news;
        // Lines about the image itself carry its tag in place of a layer.
        let Some(id) = layer.filter(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit())) else {
            if !status.is_empty() {
                tell(status);
            }
            return;
        };
        let layer = self.layers.entry(id.clone()).or_default();
        let before = layer.done;
        match status.as_str() {
            "Downloading" if total > 0 => (layer.current, layer.total) = (current, total),
            "Download complete" | "Verifying Checksum" | "Extracting" => layer.current = layer.total,
            "Pull complete" | "Already exists" => {
                layer.current = layer.total;
                layer.done = true;
            }
            _ => {}
        }
        let finished = (layer.done && !before).then(|| (status == "Already exists", layer.total));
        let done = self.layers.values().filter(|l| l.done).count();
        let of = format!("{done} of {} layers", self.layers.len());
        if let Some((there, size)) = finished {
            mark(match (there, size) {
                (true, _) => format!("layer {id} is there already ({of})"),
                (false, 0) => format!("layer {id} is there ({of})"),
                (false, size) => format!("layer {id} is there: {} ({of})", megabytes(size)),
            });
        }
        let (current, total) = self.layers.values().fold((0, 0), |(c, t), l| (c + l.current, t + l.total));
        let text = if status == "Extracting" {
            format!("{of}, extracting {id}")
        } else if total > 0 {
            format!("{of}, {} of {}", megabytes(current), megabytes(total))
        } else {
            of
        };
        if text != self.said {
            self.said.clone_from(&text);
            tell(text);
        }
    }
}

/// Registries count in powers of ten.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a megabyte is enough")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn layers_are_counted_and_told_once() {
        let (told, marked) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut layers = Layers::default();
        for (layer, status, current, total) in [
            ("1.26", "Pulling from library/nginx", 0, 0),
            ("aaaaaaaaaaaa", "Pulling fs layer", 0, 0),
            ("bbbbbbbbbbbb", "Already exists", 0, 0),
            ("aaaaaaaaaaaa", "Downloading", 1_500_000, 30_000_000),
            ("aaaaaaaaaaaa", "Downloading", 1_500_001, 30_000_000),
            ("aaaaaaaaaaaa", "Download complete", 0, 0),
            ("aaaaaaaaaaaa", "Extracting", 1, 30_000_000),
            ("aaaaaaaaaaaa", "Pull complete", 0, 0),
            ("aaaaaaaaaaaa", "Pull complete", 0, 0),
        ] {
            let news = PullProgress { layer: Some(layer.to_owned()), status: status.to_owned(), current, total };
            layers.hear(news, &|t| told.borrow_mut().push(t), &|m| marked.borrow_mut().push(m));
        }
        assert_eq!(
            marked.into_inner(),
            [
                "layer bbbbbbbbbbbb is there already (1 of 2 layers)",
                "layer aaaaaaaaaaaa is there: 30.0 MB (2 of 2 layers)"
            ]
        );
        assert_eq!(
            told.into_inner(),
            [
                "Pulling from library/nginx",
                "0 of 1 layers",
                "1 of 2 layers",
                "1 of 2 layers, 1.5 MB of 30.0 MB",
                "1 of 2 layers, 30.0 MB of 30.0 MB",
                "1 of 2 layers, extracting aaaaaaaaaaaa",
                "2 of 2 layers, 30.0 MB of 30.0 MB",
            ]
        );
    }
}
