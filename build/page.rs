//! One page: Markdown to HTML that works below `/docs/`, without scripts and without inline styles.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::{fs, io};

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::summary::{Entry, Page};

/// A page after rendering.
pub(crate) struct Rendered {
    /// The body, without navigation.
    body: String,
    /// The first sentence of the page as plain text.
    pub(crate) about: String,
    /// The pictures that the page shows, relative to `docs/`.
    pub(crate) pictures: Vec<String>,
    /// Id and title of each heading of the second level.
    sections: Vec<(String, String)>,
}

/// The text of a page, with each line `{{#include FILE}}` replaced by that file, as mdBook does.
pub(crate) fn with_includes(source: &Path, path: &str) -> io::Result<String> {
    let file = source.join(path);
    let mut text = String::new();
    for line in fs::read_to_string(&file)?.lines() {
        match included_file(line) {
            Some(included) => {
                let included = file.parent().unwrap_or(source).join(included);
                text.push_str(fs::read_to_string(included)?.trim_end());
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}

/// The file that a line includes.
fn included_file(line: &str) -> Option<&str> {
    line.strip_prefix("{{#include ")?.strip_suffix("}}")
}

/// The places of the pages that include a file, by the file's path relative to `docs/`: links to it lead to the page.
pub(crate) fn included_by(source: &Path, pages: &[&Page]) -> io::Result<HashMap<String, usize>> {
    let mut places = HashMap::new();
    for (place, page) in pages.iter().enumerate() {
        let text = fs::read_to_string(source.join(&page.path))?;
        for included in text.lines().filter_map(included_file) {
            places.insert(resolved(&page.path, included), place);
        }
    }
    Ok(places)
}

/// A relative link of the page at `path`, relative to `docs/`.
fn resolved(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Renders the Markdown of a page.
pub(crate) fn render(page: &Page, text: &str, pages: &[&Page], included_by: &HashMap<String, usize>) -> Rendered {
    let mut events: Vec<Event> =
        Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).collect();
    let mut sections = Vec::new();
    let mut pictures = Vec::new();
    let mut ids = HashSet::new();
    // For each open link: whether it leads anywhere. A file outside of the documentation is only named.
    let mut open_links = Vec::new();
    for place in 0..events.len() {
        let replacement = match &events[place] {
            Event::Start(Tag::Heading { level, .. }) => {
                Some(heading(&events[place..], *level, &mut ids, &mut sections))
            }
            Event::End(TagEnd::Heading(level)) => Some(Event::Html(format!("</a></{level}>\n").into())),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let target = target(page, dest_url, pages, included_by);
                open_links.push(target.is_some());
                let link = |dest_url: String| Tag::Link {
                    link_type: *link_type,
                    dest_url: dest_url.into(),
                    title: title.clone(),
                    id: id.clone(),
                };
                Some(target.map_or(Event::Text(CowStr::Borrowed("")), |target| Event::Start(link(target))))
            }
            Event::End(TagEnd::Link) if open_links.pop() == Some(false) => Some(Event::Text(CowStr::Borrowed(""))),
            Event::Start(Tag::Image { dest_url, .. }) => {
                pictures.push(resolved(&page.path, dest_url));
                None
            }
            // Markers of generated tables.
            Event::Html(markup) if markup.starts_with("<!--") => Some(Event::Text(CowStr::Borrowed(""))),
            _ => None,
        };
        if let Some(replacement) = replacement {
            events[place] = replacement;
        }
    }
    let about = about(&events);
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    // The content security policy refuses inline styles.
    for side in ["left", "center", "right"] {
        body = body.replace(&format!(" style=\"text-align: {side}\""), &format!(" class=\"{side}\""));
    }
    Rendered { body, about, pictures, sections }
}

/// The start of a heading, with the id that GitHub gives it. One that begins with code, as those of the error codes,
/// has that code as a second id.
fn heading(
    events: &[Event],
    level: HeadingLevel,
    ids: &mut HashSet<String>,
    sections: &mut Vec<(String, String)>,
) -> Event<'static> {
    let title = plain(events);
    let mut id = slug(&title);
    while !ids.insert(id.clone()) {
        id.push_str("-1");
    }
    if level == HeadingLevel::H2 {
        sections.push((id.clone(), title));
    }
    let mut start = format!("<{level} id=\"{id}\">");
    let mut shown = id;
    if let Some(Event::Code(code)) = events.get(1)
        && code.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && ids.insert(code.to_string())
    {
        start.push_str(&format!("<span id=\"{code}\"></span>"));
        shown = code.to_string();
    }
    start.push_str(&format!("<a href=\"#{shown}\">"));
    Event::Html(start.into())
}

/// The text of the element with which `events` begin.
fn plain(events: &[Event]) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for event in events {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    text
}

/// The id that GitHub makes of a title.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for letter in title.chars().flat_map(char::to_lowercase) {
        if letter == ' ' {
            slug.push('-');
        } else if letter.is_alphanumeric() || letter == '-' || letter == '_' {
            slug.push(letter);
        }
    }
    slug
}

/// The first sentence of the first paragraph.
fn about(events: &[Event]) -> String {
    let Some(start) = events.iter().position(|event| matches!(event, Event::Start(Tag::Paragraph))) else {
        return String::new();
    };
    let text = plain(&events[start..]);
    match text.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => text,
    }
}

/// The address on the site of a link; `None` for a file that is not part of the documentation.
fn target(page: &Page, link: &str, pages: &[&Page], included_by: &HashMap<String, usize>) -> Option<String> {
    if link.contains("://") || link.starts_with('#') || link.starts_with('/') || link.starts_with("mailto:") {
        return Some(link.to_owned());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = resolved(&page.path, path);
    let included = included_by.get(&path).map(|place| pages[*place]);
    let other = included.or_else(|| pages.iter().copied().find(|other| other.path == path))?;
    let address = page.link_to(other);
    Some(if anchor.is_empty() { address } else { format!("{address}#{anchor}") })
}

/// The whole HTML document of a page.
pub(crate) fn document(
    page: &Page,
    rendered: &Rendered,
    entries: &[Entry],
    (before, after): (Option<&Page>, Option<&Page>),
) -> String {
    let root = page.root();
    let home = if root.is_empty() { "./" } else { &root };
    let mut ways = String::new();
    if let Some(before) = before {
        ways.push_str(&format!("<a rel=\"prev\" href=\"{}\">← {}</a>", page.link_to(before), escaped(&before.title)));
    }
    if let Some(after) = after {
        ways.push_str(&format!("<a rel=\"next\" href=\"{}\">{} →</a>", page.link_to(after), escaped(&after.title)));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} – rerankd</title>\n\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"{root}../favicon.svg\">\n\
         <link rel=\"stylesheet\" href=\"{root}style.css\">\n</head>\n<body>\n\
         <header><a href=\"{home}\">rerankd</a><a class=\"narrow\" href=\"#contents\">Contents</a>\
         <a href=\"{root}../\">Try it</a><a href=\"{root}api/\">API</a></header>\n\
         <main>\n{body}<p class=\"ways\">{ways}</p>\n</main>\n\
         <nav id=\"contents\" aria-label=\"Contents\">\n{navigation}</nav>\n</body>\n</html>\n",
        title = escaped(&page.title),
        body = rendered.body,
        navigation = navigation(page, rendered, entries),
    )
}

/// The list of all pages, with the sections of this one.
fn navigation(page: &Page, rendered: &Rendered, entries: &[Entry]) -> String {
    let mut list = String::from("<ul>\n");
    for entry in entries {
        match entry {
            Entry::Part(title) => list.push_str(&format!("</ul>\n<p>{}</p>\n<ul>\n", escaped(title))),
            Entry::Page(other) => {
                let current = if other.path == page.path { " aria-current=\"page\"" } else { "" };
                let link = page.link_to(other);
                list.push_str(&format!("<li><a href=\"{link}\"{current}>{}</a>", escaped(&other.title)));
                // The sections of the index are the parts of this list.
                if other.path == page.path && !page.slug.is_empty() && !rendered.sections.is_empty() {
                    list.push_str("<ul>");
                    for (id, title) in &rendered.sections {
                        list.push_str(&format!("<li><a href=\"#{id}\">{}</a></li>", escaped(title)));
                    }
                    list.push_str("</ul>");
                }
                list.push_str("</li>\n");
            }
        }
    }
    list.push_str("</ul>\n");
    list
}

/// A text with the characters that mean something in HTML escaped.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
