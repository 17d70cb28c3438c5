//! The table of contents, `docs/SUMMARY.md`, in the form that mdBook reads too.

/// A line of the table of contents.
pub(crate) enum Entry {
    /// A title above the pages that follow.
    Part(String),
    /// A page.
    Page(Page),
}

impl Entry {
    /// The page, if the line is one.
    pub(crate) fn page(&self) -> Option<&Page> {
        match self {
            Self::Page(page) => Some(page),
            Self::Part(_) => None,
        }
    }
}

/// A page of the documentation.
pub(crate) struct Page {
    /// The title in the table of contents.
    pub(crate) title: String,
    /// The file, relative to `docs/`.
    pub(crate) path: String,
    /// The address, relative to `/docs/`: the path without its extension, empty for the index.
    pub(crate) slug: String,
}

impl Page {
    /// The way from this page up to `/docs/`.
    pub(crate) fn root(&self) -> String {
        "../".repeat(self.path.matches('/').count())
    }

    /// The relative address of `other` from this page.
    pub(crate) fn link_to(&self, other: &Self) -> String {
        let link = format!("{}{}", self.root(), other.slug);
        if link.is_empty() { "./".to_owned() } else { link }
    }
}

/// Reads the table of contents.
///
/// # Errors
/// A line that is neither a title, nor a link to a page, nor blank.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line == "# Summary" {
            continue;
        }
        if let Some(title) = line.strip_prefix("# ") {
            entries.push(Entry::Part(title.to_owned()));
            continue;
        }
        let link = line.strip_prefix("- ").unwrap_or(line);
        let Some((title, path)) = link.strip_prefix('[').and_then(|rest| rest.split_once("](")) else {
            return Err(format!("docs/SUMMARY.md: a line must be a title or a link to a page: {line}"));
        };
        let path = path.trim_end_matches(')');
        let slug = if path == "README.md" { "" } else { path.trim_end_matches(".md") };
        entries.push(Entry::Page(Page { title: title.to_owned(), path: path.to_owned(), slug: slug.to_owned() }));
    }
    Ok(entries)
}
