//! What is said of documents that hold pictures.

/// Most documents that are named.
const MAX_NAMED: usize = 10;

/// Which documents of a request hold pictures.
#[derive(Default)]
pub(crate) struct PictureWarning {
    /// Those that have a text all the same.
    beside_text: Vec<usize>,
    /// Those that have none.
    alone: Vec<usize>,
}

impl PictureWarning {
    /// One more, with the text that is left of it.
    pub(crate) fn note(&mut self, index: usize, text: &str) {
        if text.trim().is_empty() { self.alone.push(index) } else { self.beside_text.push(index) }
    }

    /// One sentence for all of them, of which one is called what `name` says; `None` if there are none.
    pub(crate) fn told(&self, list: &str, name: impl Fn(usize) -> String) -> Option<String> {
        if self.beside_text.is_empty() && self.alone.is_empty() {
            return None;
        }
        let mut told = "pictures are not scored".to_owned();
        for (what, indices) in
            [("read without theirs", &self.beside_text), ("without a text, which count as blank", &self.alone)]
        {
            if !indices.is_empty() {
                told.push_str(&format!("; {list} {what}: {} ({})", indices.len(), named(indices, &name)));
            }
        }
        Some(told)
    }
}

/// `documents[0], documents[4] and 7 more`
fn named(indices: &[usize], name: impl Fn(usize) -> String) -> String {
    let names: Vec<_> = indices.iter().take(MAX_NAMED).map(|index| name(*index)).collect();
    match indices.len().saturating_sub(MAX_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_and_the_first_named() {
        let mut warning = PictureWarning::default();
        let told = |warning: &PictureWarning| warning.told("documents", |index| format!("documents[{index}]"));
        assert_eq!(told(&warning), None);
        warning.note(3, "text");
        assert_eq!(told(&warning).unwrap(), "pictures are not scored; documents read without theirs: 1 (documents[3])");
        (4..16).for_each(|index| warning.note(index, " "));
        assert!(told(&warning).unwrap().ends_with(", documents[13] and 2 more)"));
    }
}
