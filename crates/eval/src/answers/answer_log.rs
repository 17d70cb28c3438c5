//! The answer log: the answer to every query, in a file of the run folder. An interrupted evaluation goes on where it
//! was, and nothing is paid for twice.
//!
//! A line is one JSON object: an answer, a hash of the texts that it answers, and a hash of the models that gave it.
//! Answers to other texts (a changed query, another candidate) or from other models (another one behind the name,
//! another cut of long passages) stay in the file unused, where a run that needs them finds them again.
//!
//! A line is written when its query is done. If the power goes out meanwhile, the incomplete line is ignored and
//! overwritten.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rerankd_core::route::Route;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Ranked};
use super::identity::{QueryFingerprints, models_fingerprint};
use crate::file_name;

/// The answers of one contestant.
#[derive(Debug)]
pub struct AnswerLog {
    path: PathBuf,
    /// Locked as long as it is open, where the file system has locks.
    file: File,
    /// Length of all complete lines, in bytes. The next line is written here, over whatever a torn one left behind.
    end: u64,
    /// Hash of the contestant's models and their settings.
    models_fingerprint: String,
    fingerprints: QueryFingerprints,
    /// Of these models to queries of this collection, by fingerprint of the query; the last line counts.
    answers: HashMap<String, Answer>,
    others: Others,
    /// The reason for which the file is not locked; `None` if it is.
    lock_failure: Option<io::Error>,
}

/// Counts of rankings that are kept and not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Rankings of these queries before their text or candidates changed.
    pub of_changed_queries: usize,
    /// Rankings of these very queries by another model or configuration.
    pub of_another_model: usize,
    /// `UPSTREAM/MODEL` of the rankings by another model.
    pub answered_by: BTreeSet<String>,
}

/// A line of the file; the names of the fields are its format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "asked_of")]
    models_fingerprint: String,
    #[serde(rename = "question")]
    query_fingerprint: String,
    answer: Answer,
}

/// The reason for which an answer log cannot be used.
#[derive(Debug)]
pub enum AnswerLogError {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// This line, counted from 1, is no answer.
    Foreign(PathBuf, usize),
    /// The file is locked: another process writes it.
    Busy(PathBuf),
}

impl AnswerLog {
    /// Opens the answer log of `contestant` in `folder`, or creates it. `route` is the contestant's, `fingerprints`
    /// are those of the collection's queries.
    ///
    /// # Errors
    /// The file cannot be read or written, holds something else, or is being written by another process.
    pub fn open(
        folder: &Path,
        contestant: &str,
        route: &Route,
        fingerprints: &QueryFingerprints,
    ) -> Result<Self, AnswerLogError> {
        let path = Self::path_in(folder, contestant);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|error| AnswerLogError::Io(path.clone(), error))?;
        let lock_failure = match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(AnswerLogError::Busy(path)),
            // Not every file system has locks. A run by itself needs none.
            Err(TryLockError::Error(error)) => Some(error),
        };
        let mut answer_log = Self {
            models_fingerprint: models_fingerprint(route),
            fingerprints: fingerprints.clone(),
            answers: HashMap::new(),
            others: Others::default(),
            lock_failure,
            path: path.clone(),
            file,
            end: 0,
        };
        match answer_log.read() {
            Ok(None) => Ok(answer_log),
            Ok(Some(line)) => Err(AnswerLogError::Foreign(path, line)),
            Err(error) => Err(AnswerLogError::Io(path, error)),
        }
    }

    /// Returns true if `folder` holds an answer log of `contestant`.
    #[must_use]
    pub fn exists(folder: &Path, contestant: &str) -> bool {
        Self::path_in(folder, contestant).exists()
    }

    fn path_in(folder: &Path, contestant: &str) -> PathBuf {
        folder.join(format!("{}.jsonl", file_name(contestant)))
    }

    /// Reads all lines and sets `end` behind the last complete one. Returns the number of the first line that is no
    /// answer, if there is one.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let mut lines = BufReader::new(self.file.try_clone()?);
        let mut text = Vec::new();
        // A clone of a pointer, so that `current` does not borrow `self`, which the loop changes.
        let fingerprints = self.fingerprints.clone();
        let current: HashSet<&str> = fingerprints.iter().map(|(_, fingerprint)| fingerprint).collect();
        // By models and query, so that the last line counts where there are several.
        let mut others: HashMap<(String, String), Answer> = HashMap::new();
        let mut is_ended = true;
        let mut number = 0;
        while is_ended && lines.read_until(b'\n', &mut text)? > 0 {
            is_ended = text.last() == Some(&b'\n');
            number += 1;
            let Ok(Line { models_fingerprint, query_fingerprint, answer }) = serde_json::from_slice(&text) else {
                if is_ended {
                    return Ok(Some(number));
                }
                break; // the power went out while it was being written
            };
            self.end += text.len() as u64;
            text.clear();
            if models_fingerprint == self.models_fingerprint && current.contains(&*query_fingerprint) {
                self.answers.insert(query_fingerprint, answer);
            } else {
                others.insert((models_fingerprint, query_fingerprint), answer);
            }
        }
        // `text` is cleared after each answer, so the last line was a whole one but for its end.
        if self.end > 0 && !is_ended && text.is_empty() {
            self.append(b"\n")?; // some editors remove the last line end
        }
        self.others = self.count_others(others);
        Ok(None)
    }

    /// Counts the unused rankings of queries that have no final answer.
    fn count_others(&self, others: HashMap<(String, String), Answer>) -> Others {
        let mut open_ids = HashSet::new();
        let mut open_fingerprints = HashSet::new();
        for (id, fingerprint) in self.fingerprints.iter() {
            if !self.has_answer(id) {
                open_ids.insert(id);
                open_fingerprints.insert(fingerprint);
            }
        }
        let mut found = Others::default();
        for ((models_fingerprint, query_fingerprint), answer) in others {
            let Answer::Ranked(ranked) = answer else { continue };
            // Not among the answers though its texts are those of today, so the models have changed.
            if open_fingerprints.contains(&*query_fingerprint) {
                found.of_another_model += 1;
                found.answered_by.extend(ranked.answered_by);
            } else if models_fingerprint == self.models_fingerprint && open_ids.contains(&*ranked.query_id) {
                found.of_changed_queries += 1;
            }
        }
        found
    }

    /// Hash of the contestant's models and of the settings that change their scores.
    #[must_use]
    pub fn models_fingerprint(&self) -> &str {
        &self.models_fingerprint
    }

    /// Counts of the unused rankings of queries that have no final answer.
    #[must_use]
    pub fn others(&self) -> &Others {
        &self.others
    }

    /// A warning that another process could write the file at the same time; `None` if it is locked.
    #[must_use]
    pub fn lock_warning(&self) -> Option<String> {
        let reason = self.lock_failure.as_ref()?;
        let path = self.path.display();
        Some(format!("{path} cannot be locked ({reason}); start no second rerankd eval that writes it"))
    }

    /// Returns true if the query has a final answer and need not be sent again.
    #[must_use]
    pub fn has_answer(&self, query_id: &str) -> bool {
        self.answer(query_id).is_some_and(Answer::is_final)
    }

    /// Returns true if `answer` adds nothing: a ranking is there already, and a fallback's or a failure is no better.
    /// The first one was paid for and timed.
    fn adds_nothing(&self, answer: &Answer) -> bool {
        self.ranked(answer.query_id()).is_some() && !answer.is_final()
    }

    /// Number of queries with a ranking, fallbacks' included.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.fingerprints.iter().filter(|(query_id, _)| self.ranked(query_id).is_some()).count()
    }

    /// The ranking of a query, a fallback's included.
    fn ranked(&self, query_id: &str) -> Option<&Ranked> {
        self.answer(query_id)?.ranked()
    }

    /// The answer to a query, by its id; `None` if it was never sent.
    #[must_use]
    pub fn answer(&self, query_id: &str) -> Option<&Answer> {
        self.answers.get(self.fingerprints.get(query_id)?)
    }

    /// Writes the answer to a query of the collection, unless it adds nothing to the one that is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, answer: Answer) -> Result<(), AnswerLogError> {
        if self.adds_nothing(&answer) {
            return Ok(());
        }
        let query_fingerprint = self.fingerprints.get(answer.query_id()).unwrap_or_default().to_owned();
        let line = Line { models_fingerprint: self.models_fingerprint.clone(), query_fingerprint, answer };
        self.append_line(&line).map_err(|error| AnswerLogError::Io(self.path.clone(), error))?;
        self.answers.insert(line.query_fingerprint, line.answer);
        Ok(())
    }

    fn append_line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.append(&text)
    }

    /// Writes behind the last complete line, and waits for the disk. The rest of a line whose write failed is
    /// overwritten.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(text)?;
        self.file.sync_data()?;
        self.end += text.len() as u64;
        Ok(())
    }
}

impl Display for AnswerLogError {
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

impl std::error::Error for AnswerLogError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Failed;

    /// The disk was full in the middle of a line, and has room again.
    #[test]
    fn what_is_left_of_a_line_that_could_not_be_written_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let file = File::create(&path).unwrap();
        let failed = |query_id: &str| Answer::Failed(Failed::new(query_id, "code", "message"));
        let mut answer_log = AnswerLog {
            path: path.clone(),
            file,
            end: 0,
            models_fingerprint: "somebody".to_owned(),
            fingerprints: QueryFingerprints::default(),
            answers: HashMap::new(),
            others: Others::default(),
            lock_failure: Some(io::Error::other("no locks available")),
        };
        assert_eq!(
            answer_log.lock_warning().unwrap(),
            format!(
                "{} cannot be locked (no locks available); start no second rerankd eval that writes it",
                path.display()
            )
        );
        answer_log.write(failed("a")).unwrap();
        answer_log
            .file
            .write_all(b"{\"asked_of\": \"a much longer line than the next one, which is torn in two")
            .unwrap();
        answer_log.write(failed("b")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let queries = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().answer.query_id().to_owned());
        assert_eq!(queries.collect::<Vec<_>>(), ["a", "b"]);
    }
}
