//! Changes that keep most of a text's shape, so that parsers are not done after the first byte.

use std::ops::Range;

use bolero::{Driver, ValueGenerator};

use super::grammar::{Grammar, values};

/// Longest mutated text in bytes; parsers should not depend on longer ones.
const MAX_LENGTH: usize = 20_000;
/// Most changes of one text.
const MAX_CHANGES: usize = 6;
/// Depths of nested values; parsers have their limit at 128.
const DEPTHS: [usize; 7] = [1, 2, 5, 126, 127, 128, 1_000];
/// Fragments that are inserted anywhere: marks, incomplete and invalid characters, controls, incomplete escapes,
/// brackets.
const SPLINTERS: &[u8] =
    b"\xef\xbb\xbf \xff \xc3 \xed\xa0\x80 \xf4\x90\x80\x80 \0 \x1b[31m \x08 \x0b \x7f \r\n \xe2\x80\xa8 \xc2\x85 \
    \\ \\ud83d \\u0000 \\u001b[2J \" , : [ } = # '";

/// A text that mutations start from.
pub(super) struct Seed {
    /// Reader that understands it best; empty if none does.
    pub(super) reader: &'static str,
    pub(super) text: Vec<u8>,
}

/// Draws texts near its seeds.
pub(super) struct Mutator {
    pub(super) seeds: Vec<Seed>,
    pub(super) grammar: Grammar,
}

impl Mutator {
    /// A seed with a few changes, or noise; and who understands the seed.
    pub(super) fn mutated<D: Driver>(&self, driver: &mut D) -> Option<(&'static str, Vec<u8>)> {
        if (0..24).generate(driver)? == 0 {
            let noise: Option<_> = (0..(0..64).generate(driver)?).map(|_| driver.produce()).collect();
            return Some(("", noise?));
        }
        let seed = choice(driver, &self.seeds)?;
        let mut text = seed.text.clone();
        // Few changes more often than many: most make a text unreadable.
        let most = (0..=MAX_CHANGES).generate(driver)?;
        for _ in 0..(0..=most).generate(driver)? {
            self.change(&mut text, driver)?;
            text.truncate(MAX_LENGTH);
        }
        Some((seed.reader, text))
    }

    fn change<D: Driver>(&self, text: &mut Vec<u8>, driver: &mut D) -> Option<()> {
        let Grammar { words, members, separator, around } = &self.grammar;
        let place = (0..=text.len()).generate(driver)?;
        let kind = (0..12).generate(driver)?;
        let (values, members) = (values(text), members(text));
        match kind {
            0..=2 => replace(text, choice(driver, &values), word(driver, words)?.as_bytes()),
            3 => replace(text, choice(driver, &values), &written(driver)?),
            4 => {
                let other = &choice(driver, &self.seeds)?.text;
                let value = choice(driver, &super::grammar::values(other)).unwrap_or(&(0..0)).clone();
                replace(text, choice(driver, &values), &other[value]);
            }
            5 => {
                let (open, close) = choice(driver, around)?;
                let (value, depth) = (choice(driver, &values), *choice(driver, &DEPTHS)?);
                let inner = value.map_or(&b"1"[..], |value| &text[value.clone()]);
                let nested = [open.repeat(depth).as_bytes(), inner, close.repeat(depth).as_bytes()].concat();
                replace(text, value, &nested);
            }
            6 => {
                let member = choice(driver, &members);
                let twice = member.map(|member| [&text[member.clone()], *separator, &text[member.clone()]].concat());
                replace(text, member, &twice.unwrap_or_default());
            }
            7 => replace(text, choice(driver, &members).or(choice(driver, &values)), b""),
            8 => {
                let splinters: Vec<_> = SPLINTERS.split(|byte| *byte == b' ').collect();
                replace(text, Some(&(place..place)), choice(driver, &splinters)?);
            }
            9 => {
                let other = &choice(driver, &self.seeds)?.text;
                text.truncate(place);
                text.extend(&other[(0..=other.len()).generate(driver)?..]);
            }
            10 => {
                let value = choice(driver, &values);
                let times = (2..40).generate(driver)?;
                let many = value.map(|value| vec![&text[value.clone()]; times].join(&b","[..]));
                replace(text, value, &many.unwrap_or_default());
            }
            _ if (0..2).generate(driver)? == 0 => text.truncate(place),
            _ => {
                if let Some(byte) = text.get_mut(place) {
                    *byte = driver.produce()?;
                }
            }
        }
        Some(())
    }
}

/// One of them, if there are any.
fn choice<'a, T, D: Driver>(driver: &mut D, items: &'a [T]) -> Option<&'a T> {
    if items.is_empty() { None } else { items.get((0..items.len()).generate(driver)?) }
}

/// One of the words.
pub(super) fn word<D: Driver>(driver: &mut D, words: &'static str) -> Option<&'static str> {
    words.lines().nth((0..words.lines().count()).generate(driver)?)
}

fn replace(text: &mut Vec<u8>, place: Option<&Range<usize>>, with: &[u8]) {
    if let Some(place) = place {
        text.splice(place.clone(), with.iter().copied());
    }
}

/// A string of any characters, some of them written as escapes.
fn written<D: Driver>(driver: &mut D) -> Option<Vec<u8>> {
    let mut literal = String::from("\"");
    for _ in 0..(0..8).generate(driver)? {
        let character: char = driver.produce()?;
        if character < ' ' || matches!(character, '"' | '\\') || driver.produce()? {
            let mut units = [0; 2];
            let escapes = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            literal.extend(escapes);
        } else {
            literal.push(character);
        }
    }
    literal.push('"');
    Some(literal.into_bytes())
}
