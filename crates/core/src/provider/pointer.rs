//! JSON pointers (RFC 6901) in which `[]` behind a step stands for each element of a list: `/documents[]/text`.

use std::fmt;

/// A place in a JSON document, or one for each element of the lists on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<Step>,
}

/// A step of a [`Pointer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The member of an object with this name, or the element of a list with this number.
    Member(String),
    /// Each element of a list.
    Each,
}

impl Pointer {
    /// Parses a pointer; the empty one is the whole document.
    ///
    /// # Errors
    /// A sentence that says what a pointer looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix("[]") {
                steps.push(Step::Each);
                rest = behind;
                continue;
            }
            let Some(behind) = rest.strip_prefix('/') else {
                return Err("must be a JSON pointer such as \"/results[]\" or \"/usage/total_tokens\"".to_owned());
            };
            let end = behind.find(['/', '[']).unwrap_or(behind.len());
            steps.push(Step::Member(unescaped(&behind[..end])?));
            rest = &behind[end..];
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The pointer of these steps, as text.
    pub(super) fn of(steps: &[Step]) -> String {
        let mut text = String::new();
        for step in steps {
            match step {
                Step::Member(name) => text.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
                Step::Each => text.push_str("[]"),
            }
        }
        text
    }

    /// The pointer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps from the root.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Number of lists whose elements the pointer stands for.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.steps.iter().filter(|step| **step == Step::Each).count()
    }

    /// The first step, if it is a member.
    pub(super) fn first_member(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Member(name)) => Some(name),
            _ => None,
        }
    }

    /// The name of the member, if the pointer is one step to a member.
    pub(super) fn only_member(&self) -> Option<&str> {
        match &self.steps[..] {
            [Step::Member(name)] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.text.is_empty() { "the whole document" } else { &self.text })
    }
}

/// The name that a step writes: `~1` is a slash and `~0` a tilde.
fn unescaped(step: &str) -> Result<String, String> {
    let mut name = String::with_capacity(step.len());
    let mut letters = step.chars();
    while let Some(letter) = letters.next() {
        name.push(match letter {
            '~' => match letters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("holds a ~ that is neither ~0 (a tilde) nor ~1 (a slash)".to_owned()),
            },
            ']' => return Err("holds a ] that no [ stands before; only [] is known, for each element".to_owned()),
            letter => letter,
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn steps_are_members_and_elements() {
        for (text, steps) in [
            ("", vec![]),
            ("[]", vec![Step::Each]),
            ("/results[]", vec![member("results"), Step::Each]),
            ("/a[]/b[]/c/0", vec![member("a"), Step::Each, member("b"), Step::Each, member("c"), member("0")]),
            ("/a~1b/~0", vec![member("a/b"), member("~")]),
            ("[]/meta_info/prompt_tokens", vec![Step::Each, member("meta_info"), member("prompt_tokens")]),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().steps(), steps, "{text}");
            assert_eq!(Pointer::of(&steps), text);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["results", "/a[0]", "/a[", "/a~2", "/a]", "$.results", "a[]"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }
}
