//! The ledger: what every query came to, in a file of the run folder, so that an interrupted evaluation goes on where it was and nobody pays twice.
//!
//! One JSON object a line: an answer, and hashes of what it is an answer to and of who gave it. What was answered for another question (a changed
//! query, another candidate) or by somebody else (another model behind the name, another cut of long passages) stays in the file, where a run that asks
//! for it again finds it, and is used for nothing else. A line is written when its query is done; of a line that was being written when the power
//! went out, the rest is ignored and overwritten.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Ranked};
use super::identity::{Questions, asked_of};
use crate::eval::file_name;
use crate::route::Route;

/// The answers of one contestant.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    end: u64,
    asked_of: String,
    questions: Questions,
    /// By question.
    answers: HashMap<String, Answer>,
    others: Others,
}

/// Rankings that are kept and not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Of these queries as they were, or with the candidates that they had.
    pub of_changed_queries: usize,
    /// Of these very queries, by another model or configuration.
    pub of_another_model: usize,
    /// `UPSTREAM/MODEL` of the latter.
    pub answered_by: BTreeSet<String>,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    asked_of: String,
    question: String,
    answer: Answer,
}

/// Why a ledger cannot be used.
#[derive(Debug)]
pub enum LedgerError {
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// It holds something else, from this line on.
    Foreign(PathBuf, usize),
    /// Another process writes it.
    Busy(PathBuf),
}

impl Ledger {
    /// Opens the ledger of `contestant`, which is `route` and is asked `questions`, in `folder`, or begins it.
    ///
    /// # Errors
    /// It cannot be read or written, holds something else, or is being written by another process.
    pub fn open(folder: &Path, contestant: &str, route: &Route, questions: &Questions) -> Result<Self, LedgerError> {
        let path = folder.join(format!("{}.jsonl", file_name(contestant)));
        let in_file = |error| LedgerError::Io(path.clone(), error);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(in_file)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(LedgerError::Busy(path));
        }
        let mut ledger = Self {
            asked_of: asked_of(route),
            questions: questions.clone(),
            answers: HashMap::new(),
            others: Others::default(),
            path: path.clone(),
            file,
            end: 0,
        };
        match ledger.read().map_err(in_file)? {
            None => Ok(ledger),
            Some(line) => Err(LedgerError::Foreign(path, line)),
        }
    }

    /// Reads every line, and stands behind the last one that is whole. The number of the first one that is no answer, if there is one.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let mut lines = BufReader::new(self.file.try_clone()?);
        let mut text = Vec::new();
        let questions = self.questions.clone();
        let asked: HashSet<&str> = questions.iter().map(|(_, question)| question).collect();
        let mut others: HashMap<(String, String), Answer> = HashMap::new();
        let (mut is_ended, mut number) = (true, 0);
        while is_ended && lines.read_until(b'\n', &mut text)? > 0 {
            is_ended = text.last() == Some(&b'\n');
            number += 1;
            let Ok(Line { asked_of, question, answer }) = serde_json::from_slice(&text) else {
                if is_ended {
                    return Ok(Some(number));
                }
                break; // it was being written
            };
            self.end += text.len() as u64;
            text.clear();
            if asked_of == self.asked_of && asked.contains(&*question) {
                self.answers.insert(question, answer);
            } else {
                others.insert((asked_of, question), answer);
            }
        }
        if self.end > 0 && !is_ended && text.is_empty() {
            self.append(b"\n")?; // an editor has taken it
        }
        self.others = self.sorted(others);
        Ok(None)
    }

    /// What the lines that are not used are, as far as there is no answer in their place.
    fn sorted(&self, others: HashMap<(String, String), Answer>) -> Others {
        let mut found = Others::default();
        let open = self.questions.iter().filter(|(id, _)| !self.has_answer(id));
        let (open, open_questions): (HashSet<&str>, HashSet<&str>) = open.unzip();
        for ((asked_of, question), answer) in others {
            let Answer::Ranked(ranked) = answer else { continue };
            if open_questions.contains(&*question) {
                found.of_another_model += 1;
                found.answered_by.extend(ranked.answered_by);
            } else if asked_of == self.asked_of && open.contains(&*ranked.query) {
                found.of_changed_queries += 1;
            }
        }
        found
    }

    /// What is kept and not used, of queries that have no answer.
    #[must_use]
    pub fn others(&self) -> &Others {
        &self.others
    }

    /// Whether a query needs not be asked again.
    #[must_use]
    pub fn has_answer(&self, query: &str) -> bool {
        self.answer(query).is_some_and(Answer::is_final)
    }

    /// Whether `answer` says no more than what is there: the same fallback again, which was paid for and timed the first time.
    fn is_known(&self, answer: &Answer) -> bool {
        self.ranked(answer.query()).is_some() && !answer.is_final()
    }

    /// How many queries have been answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.questions.iter().filter(|(query, _)| self.ranked(query).is_some()).count()
    }

    fn ranked(&self, query: &str) -> Option<&Ranked> {
        self.answer(query)?.ranked()
    }

    /// What became of a query; `None` if it was never asked.
    #[must_use]
    pub fn answer(&self, query: &str) -> Option<&Answer> {
        self.answers.get(self.questions.get(query)?)
    }

    /// Writes down what became of a query of the collection, if that is more than what is known.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, answer: Answer) -> Result<(), LedgerError> {
        if self.is_known(&answer) {
            return Ok(());
        }
        let question = self.questions.get(answer.query()).unwrap_or_default().to_owned();
        let line = Line { asked_of: self.asked_of.clone(), question, answer };
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.append(&text)
        });
        written.map_err(|error| LedgerError::Io(self.path.clone(), error))?;
        self.answers.insert(line.question, line.answer);
        Ok(())
    }

    /// Writes behind the last whole line, over what is left of one that could not be written, and onto the disk.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(text)?;
        self.file.sync_data()?;
        self.end += text.len() as u64;
        Ok(())
    }
}

impl Display for LedgerError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Busy(path) => write!(
                out,
                "{} is being written by another rerankd eval; wait for it, or give another --out",
                path.display()
            ),
            Self::Foreign(path, line) => write!(
                out,
                "{}, line {line}: is no answer; remove the line, or give another --out to ask everything afresh",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LedgerError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::contest::Failed;

    /// The disk was full in the middle of a line, and has room again.
    #[test]
    fn what_is_left_of_a_line_that_could_not_be_written_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let file = File::create(&path).unwrap();
        let failed = |query: &str| Answer::Failed(Failed::new(query, "code", "message"));
        let mut ledger = Ledger {
            path: path.clone(),
            file,
            end: 0,
            asked_of: "somebody".to_owned(),
            questions: Questions::default(),
            answers: HashMap::new(),
            others: Others::default(),
        };
        ledger.write(failed("a")).unwrap();
        ledger.file.write_all(b"{\"asked_of\": \"a much longer line than the next one, which is torn in two").unwrap();
        ledger.write(failed("b")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let queries = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().answer.query().to_owned());
        assert_eq!(queries.collect::<Vec<_>>(), ["a", "b"]);
    }
}
