//! Renders the Markdown of `docs/` into the pages at `/docs/`, with the feature `docs`.

#[cfg(feature = "docs")]
#[path = "build/site.rs"]
mod site;

#[cfg(feature = "docs")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    site::write()
}

#[cfg(not(feature = "docs"))]
fn main() {}
