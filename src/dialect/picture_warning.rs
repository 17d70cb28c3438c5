//! The warning about documents that hold pictures.

/// Highest number of documents that a list in the warning names.
const MAX_NAMED: usize = 10;

/// The documents of a request that hold pictures, by their indices.
#[derive(Default)]
pub(crate) struct PictureWarning {
    /// Documents with text beside the picture.
    beside_text: Vec<usize>,
    /// Documents without text.
    alone: Vec<usize>,
}

impl PictureWarning {
    /// Adds a document that holds a picture. `text` is the text that is left of it.
    pub(crate) fn note(&mut self, index: usize, text: &str) {
        if text.trim().is_empty() { self.alone.push(index) } else { self.beside_text.push(index) }
    }

    /// The warning in one sentence; `None` if no document holds a picture. `list` names the documents, and `name` names
    /// one of them by its index.
    pub(crate) fn sentence(&self, list: &str, name: impl Fn(usize) -> String) -> Option<String> {
        if self.beside_text.is_empty() && self.alone.is_empty() {
            return None;
        }
        let mut warning = "pictures are not scored".to_owned();
        for (reading, indices) in
            [("read without theirs", &self.beside_text), ("without a text, which count as blank", &self.alone)]
        {
            if !indices.is_empty() {
                warning.push_str(&format!("; {list} {reading}: {} ({})", indices.len(), named(indices, &name)));
            }
        }
        Some(warning)
    }
}

/// The names of the first documents and the number of the others: `documents[0], documents[4] and 7 more`.
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
        let told = |warning: &PictureWarning| warning.sentence("documents", |index| format!("documents[{index}]"));
        assert_eq!(told(&warning), None);
        warning.note(3, "text");
        assert_eq!(told(&warning).unwrap(), "pictures are not scored; documents read without theirs: 1 (documents[3])");
        for index in 4..16 {
            warning.note(index, " ");
        }
        assert!(told(&warning).unwrap().ends_with(", documents[13] and 2 more)"));
    }
}
