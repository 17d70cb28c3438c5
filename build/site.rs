//! The files of the documentation: each page as HTML and as Markdown, the style sheet, pictures, `llms.txt`, and the
//! page of the API.

#[path = "api.rs"]
mod api;
#[path = "page.rs"]
mod page;
#[path = "summary.rs"]
mod summary;

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

use self::page::Rendered;
use self::summary::{Entry, Page};

/// The sentence about rerankd in `llms.txt`.
const ABOUT: &str = "The reranking sidecar for RAG applications: post a query and its passages, get them back best \
    first. One binary in front of any reranking provider; every score cached, failures survived, answers that say \
    where their scores come from.";

/// Writes the compressed files and `site.rs`, a table of them, into `OUT_DIR`.
///
/// # Errors
/// A page of `SUMMARY.md` that does not exist, or an input or output that fails.
pub(crate) fn write() -> Result<(), Box<dyn Error>> {
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("docs");
    let mut stdout = io::stdout();
    for watched in ["docs", "build", "build.rs", "config/default.toml"] {
        writeln!(stdout, "cargo::rerun-if-changed={watched}")?;
    }
    let entries = summary::read(&fs::read_to_string(source.join("SUMMARY.md"))?)?;
    let pages: Vec<&Page> = entries.iter().filter_map(Entry::page).collect();
    let mut texts = Vec::new();
    for page in &pages {
        texts.push(page::with_includes(&source, &page.path)?);
    }
    let included_by = page::included_by(&source, &pages)?;

    let mut site = Site { folder: PathBuf::from(env::var("OUT_DIR")?), rows: String::new(), count: 0 };
    let mut llms = format!("# rerankd\n\n> {ABOUT}\n");
    let mut rendered_pages = Vec::new();
    for (page, text) in pages.iter().zip(&texts) {
        rendered_pages.push(page::render(page, text, &pages, &included_by));
    }
    let mut pictures = Vec::new();
    for (place, (page, rendered)) in pages.iter().zip(&rendered_pages).enumerate() {
        let neighbours = (place.checked_sub(1).map(|before| pages[before]), pages.get(place + 1).copied());
        let html = page::document(page, rendered, &entries, neighbours);
        site.add(&page.slug, "text/html; charset=utf-8", html.as_bytes())?;
        site.add(&page.path, "text/markdown; charset=utf-8", texts[place].as_bytes())?;
        pictures.extend(rendered.pictures.iter().cloned());
    }
    pictures.sort();
    pictures.dedup();
    for picture in &pictures {
        site.add(picture, picture_type(picture), &fs::read(source.join(picture))?)?;
    }
    site.add("style.css", "text/css; charset=utf-8", include_bytes!("style.css"))?;
    add_to_llms(&mut llms, &entries, &rendered_pages)?;
    site.add("llms.txt", "text/plain; charset=utf-8", llms.as_bytes())?;
    api::add(&mut site)?;
    site.finish()
}

/// The media type of a picture, by its extension.
fn picture_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("svg") => "image/svg+xml",
        _ => "image/png",
    }
}

/// Appends the list of the pages, in the form of llmstxt.org.
fn add_to_llms(llms: &mut String, entries: &[Entry], rendered_pages: &[Rendered]) -> Result<(), std::fmt::Error> {
    let mut rendered = rendered_pages.iter();
    let files = "[llms-full.txt](/docs/llms-full.txt). The HTTP contract: [openapi.json](/openapi.json).";
    writeln!(llms, "\nAll pages in one file: {files}")?;
    for entry in entries {
        match entry {
            Entry::Part(title) => writeln!(llms, "\n## {title}\n")?,
            Entry::Page(page) => {
                let about = rendered.next().map_or("", |rendered| &rendered.about);
                // The index lists what is listed here.
                if page.slug.is_empty() {
                    continue;
                }
                writeln!(llms, "- [{}](/docs/{}): {about}", page.title, page.path)?;
            }
        }
    }
    Ok(())
}

/// The files written so far.
struct Site {
    folder: PathBuf,
    /// Rows of the table in `site.rs`.
    rows: String,
    count: usize,
}

impl Site {
    /// Compresses a file, and adds it under `path`, which is relative to `/docs/`.
    fn add(&mut self, path: &str, media_type: &str, content: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content)?;
        let packed = encoder.finish()?;
        // The checksum and length of the content, with which gzip ends.
        let mut tag = String::new();
        for byte in &packed[packed.len() - 8..] {
            write!(tag, "{byte:02x}")?;
        }
        let name = format!("site-{}.gz", self.count);
        fs::write(self.folder.join(&name), &packed)?;
        writeln!(
            self.rows,
            "    File {{ path: {path:?}, media_type: {media_type:?}, tag: {:?}, packed: \
             include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")) }},",
            format!("W/\"{tag}\""),
        )?;
        self.count += 1;
        Ok(())
    }

    /// Writes the table.
    fn finish(self) -> Result<(), Box<dyn Error>> {
        let table = format!("static FILES: [File; {}] = [\n{}];\n", self.count, self.rows);
        fs::write(self.folder.join("site.rs"), table)?;
        Ok(())
    }
}
