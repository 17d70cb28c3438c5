//! HTML writing. Text from outside is always escaped. Every element is closed and only XML's entities are used, so that
//! the page also parses as XML: a strict parser finds faults that a browser would forgive.

use rerankd_core::text::visible;

/// `text` as HTML for use between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match visible(character) {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// The HTML that `html` writes for each of `items`, joined.
pub(super) fn each<T>(items: impl IntoIterator<Item = T>, html: impl FnMut(T) -> String) -> String {
    items.into_iter().map(html).collect()
}

/// A paragraph for each of `sentences`, which are plain text.
pub(super) fn paragraphs(sentences: &[String]) -> String {
    each(sentences, |sentence| {
        // Figures stay on one line with their units.
        let sentence = escape(sentence).replace(" ms", "\u{a0}ms").replace(" %", "\u{a0}%");
        format!("<p>{sentence}</p>")
    })
}

/// A region for content wider than the screen, scrolled by touch or by keyboard. `label` is plain text, `body` HTML.
pub(super) fn scrollable(label: &str, body: &str) -> String {
    // The hint is shown on narrow screens, where no table of the report fits.
    format!(
        "<p class=\"hint\">The table scrolls sideways →</p>\
         <div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{body}</div>",
        escape(label)
    )
}

/// A part of the page with a heading of its own.
#[derive(Debug)]
pub(super) struct HtmlSection {
    /// Target of links in the page, unique there.
    pub id: &'static str,
    /// HTML of the heading.
    pub title: &'static str,
    /// HTML below the heading.
    pub body: String,
}

impl HtmlSection {
    /// The section as an element of `<main>`.
    pub(super) fn html(&self) -> String {
        let Self { id, title, body } = self;
        format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{title}</h2>{body}</section>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text that a browser shows for `html`.
    fn read(html: &str) -> String {
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        let mut text = html.to_owned();
        for (entity, character) in entities {
            text = text.replace(entity, character);
        }
        text
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<a b='c' d=\"e\">&lt;"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;lt;");
        assert_eq!(escape("\u{202e}\0日本"), "\u{fffd}␀日本");
    }

    proptest! {
        #[test]
        fn nothing_acts_and_nothing_is_lost(characters in proptest::collection::vec(any::<char>(), 0..60)) {
            let text = String::from_iter(characters);
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(escaped.chars().all(|character| visible(character) == character));
            for rest in escaped.split('&').skip(1) {
                let entities = ["lt;", "gt;", "quot;", "#39;", "amp;"];
                prop_assert!(entities.iter().any(|entity| rest.starts_with(entity)));
            }
            prop_assert_eq!(read(&escaped), rerankd_core::text::printable(&text));
        }
    }
}
