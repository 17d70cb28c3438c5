//! The candidates of each query: from a run, by BM25 or from the judgments.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::draft::Draft;
use super::input_error::CollectionError;
use super::{JudgedQuery, Source, input, run};
use crate::bm25::{self, Hit};

/// Candidates per query by BM25, unless the command line says otherwise. Studies of paid rerankers seldom go deeper.
pub const DEFAULT_DEPTH: usize = 50;

/// Name of the run that `--prepare` writes in the folder of the data.
pub const PREPARED_FILE: &str = "candidates.tsv";
/// Names of a run in the folder of the data that is used unless the command line says otherwise.
pub const OWN_FILES: [&str; 2] = [PREPARED_FILE, "candidates.run"];

/// First bytes of what is hashed for the order of passages that BM25 cannot order. Another seed is another order.
const ORDER_SEED: &[u8] = b"rerankd eval 0";

/// The source of the queries' candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// A run, searched for in the working directory and then in the folder of the data.
    File(PathBuf),
    /// The best passages of the corpus by BM25, this many; above 0. Where fewer have a word of the query, others fill
    /// the list (`by_bm25_to_depth`).
    Bm25(usize),
    /// All passages judged for the query, in BM25 order.
    Judged,
}

impl FromStr for Candidates {
    type Err = String;

    /// Reads `judged`, `bm25` or `bm25:DEPTH`; anything else is the path of a run.
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("bm25:")) {
            ("judged", _) => Ok(Self::Judged),
            ("bm25", _) => Ok(Self::Bm25(DEFAULT_DEPTH)),
            (_, Some(depth)) => match depth.parse() {
                Ok(depth) if depth > 0 => Ok(Self::Bm25(depth)),
                _ => Err("bm25:DEPTH needs a whole number above 0, such as bm25:50".to_owned()),
            },
            ("", None) => Err("must be a run file, bm25:DEPTH or judged".to_owned()),
            (path, None) => Ok(Self::File(path.into())),
        }
    }
}

impl Display for Candidates {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Bm25(depth) => write!(out, "bm25:{depth}"),
            Self::Judged => out.write_str("judged"),
        }
    }
}

/// Gives every judged query its candidates.
pub(super) fn choose(draft: &mut Draft, source: &Source) -> Result<(), CollectionError> {
    let folder = input::folder_of(&source.data);
    match &source.candidates {
        Some(Candidates::File(path)) => from_run(draft, &find_run(path, folder)?),
        Some(Candidates::Bm25(depth)) => {
            by_bm25(draft, *depth);
            Ok(())
        }
        Some(Candidates::Judged) => {
            all_judged(draft);
            Ok(())
        }
        None => by_default(draft, source),
    }
}

/// Finds the run that the command line names.
fn find_run(path: &Path, folder: &Path) -> Result<PathBuf, CollectionError> {
    if let Some(found) = input::find(path, folder) {
        return Ok(found);
    }
    let folder = folder.display();
    let reason =
        format!("there is no such run, nor one in {folder}; other first stages are bm25:DEPTH (as bm25:50) and judged");
    Err(CollectionError::whole(path, reason))
}

/// The candidates where the command line names none, as [`Source::candidates`] describes.
fn by_default(draft: &mut Draft, source: &Source) -> Result<(), CollectionError> {
    if draft.first_stage.is_some() {
        draft.has_given_order = true;
        return Ok(()); // the input itself holds candidates
    }
    let folder = input::folder_of(&source.data);
    let mut own = Vec::new();
    for name in OWN_FILES {
        let path = folder.join(name);
        if path.is_file() {
            own.push(path);
        }
    }
    match own.as_slice() {
        [] => {
            by_bm25(draft, DEFAULT_DEPTH);
            Ok(())
        }
        [path] => from_run(draft, path),
        _ => {
            let reason = format!("holds {}; choose one with --candidates FILE", OWN_FILES.join(" and "));
            Err(CollectionError::whole(folder, reason))
        }
    }
}

fn from_run(draft: &mut Draft, path: &Path) -> Result<(), CollectionError> {
    run::read(path, draft)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    draft.has_given_order = true;
    draft.first_stage = Some(format!("the run {}", name.display()));
    Ok(())
}

fn by_bm25(draft: &mut Draft, depth: usize) {
    let found = by_bm25_to_depth(&draft.passages.texts(), &judged_texts(draft), depth);
    let mut filled = 0;
    for hits in &found {
        filled += usize::from(hits.iter().any(|hit| hit.score <= 0.0));
        // A sum over no word is exactly 0, and any word adds to it.
        draft.left_out.queries_without_common_words += usize::from(hits.iter().all(|hit| hit.score <= 0.0));
    }
    assign(draft, found);
    let formula = format!("BM25 (k1 {}, b {})", bm25::CORPUS_K1, bm25::CORPUS_B);
    let rest = if filled == 0 { "" } else { ", then others in a fixed order" };
    draft.first_stage = Some(if depth < draft.passages.records.len() {
        format!("the best {depth} by {formula}{rest}")
    } else {
        format!("the whole corpus, by {formula}{rest}")
    });
}

/// For each query, `depth` passages, or the whole corpus where it is not larger: those that have a word of the query,
/// best first by BM25, then others with score 0. So lists are as long as they claim to be, and a relevant passage
/// without a common word may be among them.
///
/// The others stand in the order of a hash of their texts, the same for every query: it knows nothing of the corpus's
/// own order, which may have been sorted by hand, and a passage that is added changes little of it.
pub(super) fn by_bm25_to_depth(passages: &[&str], queries: &[&str], depth: usize) -> Vec<Vec<Hit>> {
    let depth = depth.min(passages.len());
    let mut found = bm25::best(passages, queries, depth);
    if found.iter().all(|hits| hits.len() == depth) {
        return found;
    }
    let order = order_by_hash(passages);
    for hits in &mut found {
        let ranked: HashSet<usize> = hits.iter().map(|hit| hit.place).collect();
        let others = order.iter().filter(|place| !ranked.contains(place));
        for &place in others.take(depth - ranked.len()) {
            hits.push(Hit { place, score: 0.0 });
        }
    }
    found
}

/// All places of the corpus, in an order that depends on nothing but the texts. Equal texts keep theirs.
fn order_by_hash(passages: &[&str]) -> Vec<usize> {
    let mut hashed = Vec::with_capacity(passages.len());
    for (place, text) in passages.iter().enumerate() {
        let mut key = blake3::Hasher::new();
        key.update(ORDER_SEED).update(text.as_bytes());
        hashed.push((*key.finalize().as_bytes(), place));
    }
    hashed.sort_unstable();
    hashed.into_iter().map(|(_, place)| place).collect()
}

fn all_judged(draft: &mut Draft) {
    // In the order of `judged_texts`, which leaves out the same queries.
    let mut chosen = Vec::with_capacity(draft.queries.len());
    for query in &draft.queries {
        if is_judged(query) {
            // Judged passages that the corpus does not hold have no text to rank.
            chosen.push(query.judgments.keys().filter_map(|id| draft.passages.place(id)).collect());
        }
    }
    let found = bm25::order(&draft.passages.texts(), &judged_texts(draft), &chosen);
    assign(draft, found);
    draft.first_stage =
        Some(format!("all judged passages, in BM25 order (k1 {}, b {})", bm25::CORPUS_K1, bm25::CORPUS_B));
}

/// The texts of the judged queries. Others are left out of the evaluation, so they need no candidates.
fn judged_texts(draft: &Draft) -> Vec<&str> {
    let mut texts = Vec::with_capacity(draft.queries.len());
    for query in &draft.queries {
        if is_judged(query) {
            texts.push(&*query.text);
        }
    }
    texts
}

/// Assigns one list of hits to each judged query: `found` is in the order of [`judged_texts`].
fn assign(draft: &mut Draft, found: Vec<Vec<Hit>>) {
    let judged = draft.queries.iter_mut().filter(|query| is_judged(query));
    for (query, hits) in judged.zip(found) {
        query.candidates = hits.into_iter().map(|hit| hit.place).collect();
    }
}

fn is_judged(query: &JudgedQuery) -> bool {
    !query.judgments.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_first_stages_and_anything_else_for_a_file() {
        for (text, expected) in [
            ("bm25:7", Candidates::Bm25(7)),
            ("bm25", Candidates::Bm25(50)),
            ("judged", Candidates::Judged),
            ("bm25.run", Candidates::File("bm25.run".into())),
            ("./judged", Candidates::File("./judged".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected));
        }
        for text in ["bm25:0", "bm25:", "bm25:many", ""] {
            assert!(text.parse::<Candidates>().is_err(), "{text}");
        }
        assert_eq!(Candidates::Bm25(7).to_string(), "bm25:7");
    }
}
