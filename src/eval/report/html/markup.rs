//! Writing HTML: what is text stays text. Every element is closed and no entity but XML's own is used, so that the page
//! also parses as XML: a strict parser finds what a browser would forgive.

use super::super::text::visible;

/// `text` as it may stand between tags and in quoted attributes.
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

/// `html` of each of `items`.
pub(super) fn each<T>(items: impl IntoIterator<Item = T>, html: impl FnMut(T) -> String) -> String {
    items.into_iter().map(html).collect()
}

/// A paragraph for each of `sentences`, which are plain text. Figures stay on a line with their units.
pub(super) fn paragraphs(sentences: &[String]) -> String {
    each(sentences, |sentence| {
        let sentence = escape(sentence).replace(" ms", "\u{a0}ms").replace(" %", "\u{a0}%");
        format!("<p>{sentence}</p>")
    })
}

/// What may be wider than the screen, to be scrolled by touch and by keyboard. `label` is plain text.
pub(super) fn scrollable(label: &str, body: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{body}</div>", escape(label))
}

/// A part of the page with a heading of its own.
#[derive(Debug)]
pub(super) struct Section {
    /// Where links lead.
    pub id: &'static str,
    pub title: &'static str,
    /// HTML.
    pub body: String,
}

impl Section {
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

    /// What a browser makes of it.
    fn read(html: &str) -> String {
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        entities.iter().fold(html.to_owned(), |text, (entity, character)| text.replace(entity, character))
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
            prop_assert!(escaped.split('&').skip(1).all(|rest| ["lt;", "gt;", "quot;", "#39;", "amp;"].iter().any(|it| rest.starts_with(it))));
            prop_assert_eq!(read(&escaped), super::super::super::text::printable(&text));
        }
    }
}
