//! The ledger: what every query came to, in a file of the run folder, so that an interrupted evaluation goes on where it was and nobody pays twice.
//!
//! One JSON object a line, the first says whose answers these are and to which queries. A line is written when its query is done; of a line that
//! was being written when the power went out, the rest is ignored and overwritten.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::config::settings::{LocalSettings, LongPassages};
use crate::eval::NOT_IN_FILE_NAMES;
use crate::eval::collection::Collection;
use crate::route::Route;

/// The answers of one contestant.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    answers: HashMap<String, Answer>,
}

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// The name on the command line.
    contestant: String,
    /// A hash of the queries and of who answers them.
    fingerprint: String,
}

/// Why a ledger cannot be used.
#[derive(Debug)]
pub enum LedgerError {
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// It holds something else; with what to do about it.
    Foreign(PathBuf, String),
    /// Another process writes it.
    Busy(PathBuf),
}

impl Ledger {
    /// Opens the ledger of `contestant` in `folder`, or begins it.
    ///
    /// # Errors
    /// It cannot be read or written, or holds answers to other queries or of another model.
    pub fn open(folder: &Path, contestant: &str, fingerprint: &str) -> Result<Self, LedgerError> {
        let path = folder.join(format!("{}.jsonl", utf8_percent_encode(contestant, NOT_IN_FILE_NAMES)));
        let head = Head { contestant: contestant.to_owned(), fingerprint: fingerprint.to_owned() };
        Self::open_at(&path, &head).map_err(|error| match error {
            Trouble::Io(error) => LedgerError::Io(path, error),
            Trouble::Foreign(what) => LedgerError::Foreign(path, what),
            Trouble::Busy => LedgerError::Busy(path),
        })
    }

    fn open_at(path: &Path, head: &Head) -> Result<Self, Trouble> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Trouble::Busy);
        }
        let mut lines = Lines { reader: BufReader::new(&file), end: 0 };
        let mut answers = HashMap::new();
        match lines.next::<Head>()? {
            Read::Nothing => {}
            Read::Value(found) if found == *head => loop {
                match lines.next::<Answer>()? {
                    Read::Nothing => break,
                    Read::Value(answer) => drop(answers.insert(answer.query().to_owned(), answer)),
                    Read::Garbage => return Err(Trouble::Foreign("holds a line that is no answer".to_owned())),
                }
            },
            Read::Value(found) if found.contestant == head.contestant => {
                return Err(Trouble::Foreign(
                    "holds answers to other queries, to other candidates or of another configuration".to_owned(),
                ));
            }
            Read::Value(_) | Read::Garbage => {
                return Err(Trouble::Foreign("is not the ledger of this contestant".to_owned()));
            }
        }
        let end = lines.end;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        let mut ledger = Self { path: path.to_owned(), file, answers };
        if end == 0 {
            ledger.append(head)?;
        }
        Ok(ledger)
    }

    /// Whether a query needs not be asked again.
    #[must_use]
    pub fn has_answer(&self, query: &str) -> bool {
        matches!(self.answers.get(query), Some(Answer::Ranked(_)))
    }

    /// How many queries have been answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answers.values().filter(|answer| matches!(answer, Answer::Ranked(_))).count()
    }

    /// What became of a query; `None` if it was never asked.
    #[must_use]
    pub fn answer(&self, query: &str) -> Option<&Answer> {
        self.answers.get(query)
    }

    /// Writes down what became of a query.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, answer: Answer) -> Result<(), LedgerError> {
        self.append(&answer).map_err(|error| LedgerError::Io(self.path.clone(), error))?;
        self.answers.insert(answer.query().to_owned(), answer);
        Ok(())
    }

    fn append(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}

/// Hash of everything that an answer depends on: the queries with their candidates, and who is asked.
#[must_use]
pub fn fingerprint(collection: &Collection, route: &Route) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| _ = hasher.update(&bytes.len().to_le_bytes()).update(bytes);
    for target in &route.targets {
        field(format!("{:?} {:?}", target.space, target.facts.scoring).as_bytes());
        if let Some(LocalSettings { cross_encoder, mix, scripts }) = target.parts.as_ref().map(|parts| &parts.settings)
        {
            let read = cross_encoder.as_ref().map(|settings| (&settings.directory, settings.max_tokens));
            field(format!("{mix:?} {scripts:?} {read:?}").as_bytes());
        }
        let cut = target.long_passages();
        if cut != LongPassages::Provider {
            field(format!("{cut:?}").as_bytes());
        }
    }
    for query in &collection.queries {
        field(query.id.as_bytes());
        field(query.text.as_bytes());
        for &place in &query.candidates {
            let passage = &collection.passages[place];
            field(passage.id.as_bytes());
            field(passage.text.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Reads whole lines, and knows where the last good one ends.
struct Lines<R> {
    reader: R,
    end: u64,
}

enum Read<T> {
    /// The end, or a line that is not whole.
    Nothing,
    Value(T),
    Garbage,
}

impl<R: BufRead> Lines<R> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> io::Result<Read<T>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(Read::Nothing);
        }
        let Ok(value) = serde_json::from_slice(&line) else { return Ok(Read::Garbage) };
        self.end += line.len() as u64;
        Ok(Read::Value(value))
    }
}

enum Trouble {
    Io(io::Error),
    Foreign(String),
    Busy,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Display for LedgerError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Busy(path) => {
                write!(
                    out,
                    "{} is being written by another rerankd eval; wait for it, or give another --out",
                    path.display()
                )
            }
            Self::Foreign(path, what) => {
                write!(out, "{} {what}; give another --out, or remove the file to ask afresh", path.display())
            }
        }
    }
}

impl std::error::Error for LedgerError {}
